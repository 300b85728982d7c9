"""The correlation over conditions against simulated studies whose true values are known."""

from __future__ import annotations

import numpy as np
import pytest

from biasprop.statistics.correlation import disjoint_correlation

CONDITIONS = 18


def simulated(
    truth: float, replicates: int, seed: int, signal: float = 0.1, shared: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """x and y [replicate, condition]: true values with this correlation to the last digit, and noise of sd .1, of which
    x and y of one replicate have a part in common."""
    draw = np.random.default_rng(seed).standard_normal
    a, b = draw((2, CONDITIONS))
    a = (a - a.mean()) / a.std()
    b -= b.mean() + (b @ a) / (a @ a) * a
    true = signal * np.stack([a, truth * a + np.sqrt(1 - truth**2) * b / b.std()])
    own, other = draw((2, replicates, CONDITIONS))
    noise = 0.1 * np.stack([own, shared * own + np.sqrt(1 - shared**2) * other])
    x, y = true[:, None] + noise
    return x, y


def test_shared_noise_is_no_correlation() -> None:
    """True values are uncorrelated; means of the same replicates correlate, those of different ones do not."""
    studies = [simulated(0.0, 4, seed) for seed in range(400)]
    naive = [np.corrcoef(x.mean(axis=0), y.mean(axis=0))[0, 1] for x, y in studies]
    disjoint = [disjoint_correlation(x, y).value for x, y in studies]
    assert np.mean(naive) > 0.12
    assert abs(np.nanmean(disjoint)) < 0.04


@pytest.mark.parametrize("truth", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("replicates", [4, 12])
def test_the_interval_covers_the_correlation_of_true_values(truth: float, replicates: int) -> None:
    found = [disjoint_correlation(*simulated(truth, replicates, seed)) for seed in range(500)]
    given = [one for one in found if np.isfinite(one.low)]
    assert len(given) > 0.9 * len(found)
    assert np.mean([one.low <= truth <= one.high for one in given]) > 0.92
    assert abs(np.median([one.value for one in given]) - truth) < 0.06, "noise does not weaken it"


def test_without_noise_it_is_the_ordinary_correlation() -> None:
    x, y = (np.repeat(values[:1], 4, axis=0) for values in simulated(0.3, 2, 5))
    found = disjoint_correlation(x, y)
    np.testing.assert_allclose([found.value, found.low, found.high], np.corrcoef(x[0], y[0])[0, 1])


def test_what_is_undefined_says_why() -> None:
    x, y = simulated(0.5, 5, 1)
    x[0, 3] = np.nan
    assert disjoint_correlation(x, y) == disjoint_correlation(x[1:], y[1:]), "an incomplete replicate is left out"
    assert "needs 4 replicates, there are 3" in disjoint_correlation(x[:4], y[:4]).reason
    assert "needs 3 conditions" in disjoint_correlation(x[1:, :2], y[1:, :2]).reason
    flat, _ = simulated(0.5, 4, 3, signal=0.0)
    assert np.isnan(disjoint_correlation(flat, np.ones_like(flat)).value)
    assert "does not vary" in disjoint_correlation(flat, np.ones_like(flat)).reason
