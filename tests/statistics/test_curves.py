"""Labels that are read off monotone learning curves, by hand and against a search over a grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from biasprop.statistics.curves import crossing, crossing_bounds, labels_needed, monotone

BUDGETS = (50.0, 200.0, 800.0)


@pytest.mark.parametrize(
    ("curve", "labels"),
    [
        ([-0.5, 0.5, 0.9], 100.0),
        ([-0.5, 0.0, 0.9], 200.0),
        ([-0.2, -0.1, 0.1], 400.0),
        ([0.0, 0.1, 0.2], 50.0),
        ([-0.2, -0.1, 0.0], 800.0),
        ([0.1, 0.2, 0.3], 0.0),  # with fewer than were studied
        ([-0.3, -0.2, -0.1], np.inf),  # with more
        ([-0.4, 0.8, 0.0], 100.0),  # falls: its last two are 0.4 together
        ([0.4, -0.8, 0.2], 400.0),  # does not count as reached at 50
    ],
)
def test_a_curve_is_read_between_its_budgets_and_never_beyond(curve: list[float], labels: float) -> None:
    rising = monotone(np.array([curve, curve]))
    assert (np.diff(rising) >= 0).all()
    np.testing.assert_allclose(crossing(rising, BUDGETS), labels)
    found = labels_needed(np.array([curve, curve]), BUDGETS)  # replicates that do not differ
    np.testing.assert_allclose(found.value, labels)
    assert found.low <= found.high and found.method == "inverse t"
    if 0 < labels < np.inf:
        np.testing.assert_allclose([found.low, found.high], labels)
    else:
        assert (found.low, found.high) == ((800.0, np.inf) if labels else (0.0, 50.0))


def test_replicates_are_pooled_where_their_mean_falls() -> None:
    curves = np.array([[0.0, 3.0, 1.0, 4.0], [0.0, 3.0, 3.0, 2.0]])  # means 0, 3, 2, 3
    np.testing.assert_allclose(monotone(curves), [[0.0, 2.0, 2.0, 4.0], [0.0, 3.0, 3.0, 2.0]])
    rising = np.sort(curves, axis=1)
    assert monotone(rising) is not rising and (monotone(rising) == rising).all()
    np.testing.assert_allclose(monotone(np.stack([curves, rising])), [monotone(curves), rising])


@pytest.mark.parametrize("seed", range(12))
def test_bounds_are_the_labels_that_a_paired_t_test_does_not_reject(seed: int) -> None:
    random = np.random.default_rng(seed)
    height = random.normal(0.0, 0.4)
    curves = monotone(np.array([-0.4, 0.1, 0.5]) + height + random.normal(0.0, 0.3, (5, 3)))
    low, high = crossing_bounds(curves, BUDGETS, 0.9)
    x = np.linspace(np.log(50), np.log(800), 4001)
    read = np.stack([np.interp(x, np.log(BUDGETS), curve) for curve in curves])
    t, p = ttest_1samp(read, 0.0)
    too_few, more_than_enough = (t < 0) & (p < 0.1), (t > 0) & (p < 0.1)
    assert low <= crossing(curves, BUDGETS) <= high
    if too_few[0]:
        expected = np.exp(x[(~too_few).argmax()]) if not too_few.all() else 800.0
        assert low == pytest.approx(expected, rel=2e-3)
    else:
        assert low == 0
    if more_than_enough[-1]:
        last = np.flatnonzero(~more_than_enough)
        assert high == pytest.approx(np.exp(x[last[-1]]) if len(last) else 50.0, rel=2e-3)
    else:
        assert high == np.inf


def test_many_studies_at_once_are_each_of_them_alone() -> None:
    curves = np.array([-0.4, 0.1, 0.5]) + np.random.default_rng(5).normal(0.0, 0.4, (40, 4, 3))
    together = [crossing(monotone(curves), BUDGETS), *crossing_bounds(monotone(curves), BUDGETS)]
    alone = [labels_needed(one, BUDGETS)[:3] for one in curves]
    np.testing.assert_allclose(np.transpose(together), alone)
    assert np.isinf(together[2]).any() and (together[1] == 0).any() and np.isfinite(together[0]).any()


def test_a_replicate_that_lacks_a_budget_is_left_out() -> None:
    curves = np.array([[-0.5, 0.5, 0.9], [-0.4, 0.6, 1.0], [-0.6, 0.4, 0.7]])
    lacking = np.vstack([curves, [[0.1, np.nan, 0.3]]])
    assert labels_needed(lacking, BUDGETS) == labels_needed(curves, BUDGETS)
    one = labels_needed(curves[:1], BUDGETS)
    assert one.value == pytest.approx(100.0) and np.isnan([one.low, one.high]).all() and "2 replicates" in one.reason
    assert np.isnan(labels_needed(lacking[3:], BUDGETS).value)
