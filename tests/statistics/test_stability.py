"""The share of settings that keep a sign, and the levers that explain the rest, on effects whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr
from scipy.stats import spearmanr

from biasprop.coverage import stability as coverage
from biasprop.estimands import estimand
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.statistics.stability import MIN_SETTINGS, rank_regression, share_bounds, sign_share
from tests.synthetic import synthetic_cube

NORMAL = np.random.default_rng(0)


def test_the_interval_covers_and_seldom_calls_an_effect_robust() -> None:
    found = coverage.rows(3, 4_000, (24,))
    assert len(found) == 14 and all(row.passes and row.offered for row in found)
    assert any(row.estimand.startswith("1, ") for row in found), "also where all settings have one effect"
    assert len(coverage.lines(found)) == 3 + len(found)


def test_the_fraction_of_observed_signs_would_not_do() -> None:
    """What the estimate is for: one true effect everywhere, of about one sd, changes its observed sign by chance."""
    effects = 0.03 + 0.028 * NORMAL.standard_normal((500, 40))
    assert (effects > 0).mean() == pytest.approx(ndtr(0.03 / 0.028), abs=0.02)
    _, high = share_bounds(effects, 0.028 * np.sqrt(NORMAL.chisquare(5, 500) / 5), 5)
    assert (high == 1).mean() > 0.95


def test_the_estimate_takes_the_variance_of_replicates_out() -> None:
    effects = np.repeat([0.1, 0.3], 20)
    found = sign_share(effects, 0.06, 5)
    tau = np.sqrt(effects.var(ddof=1) - 0.06**2)
    assert (found.mean, found.sd) == pytest.approx((0.2, tau))
    assert found.value == pytest.approx(ndtr(0.2 / tau)) and found.low < found.value < found.high
    assert sign_share(effects, 0.06, 5, sign=-1).value == pytest.approx(1 - found.value)
    assert sign_share(effects, 1.0, 5).sd == 0 and sign_share(effects, 1.0, 5).value == 1


def test_few_settings_have_no_interval() -> None:
    few = sign_share(np.linspace(-1, 2, MIN_SETTINGS - 1), 0.1, 5)
    assert 0.5 < few.value < 1 and np.isnan([few.low, few.high]).all()
    same = sign_share(np.full(MIN_SETTINGS - 1, 0.2), 0.1, 5)
    assert same.sd == 0 and same.mean == pytest.approx(0.2) and np.isnan(same.value)
    assert np.isnan(sign_share([0.3, np.nan], 0.1, 5)).all()


def test_rank_regression_finds_the_levers_that_matter_on_any_monotone_scale() -> None:
    generator = np.random.default_rng(1)
    dose, idle = generator.uniform(1, 100, 60), generator.uniform(size=60)
    kind = np.array(["fixed", "cohort", "image"])[np.arange(60) % 3]
    effects = np.exp(0.02 * dose + 0.6 * (kind == "image") + 0.05 * generator.standard_normal(60))
    found = rank_regression(
        effects, {"dose": dose.tolist(), "idle": idle.tolist(), "kind": kind.tolist(), "same": [1] * 60}
    )
    assert [one.name for one in found.coefficients] == ["dose", "idle", "kind = fixed", "kind = image"]
    by_name = {one.name: one for one in found.coefficients}
    assert by_name["dose"].low > 0.6 and by_name["kind = image"].low > 0.2 and found.r2 > 0.9
    assert by_name["idle"].low < 0 < by_name["idle"].high
    again = rank_regression(np.log(effects), {"dose": np.log(dose).tolist()})
    assert again == rank_regression(effects, {"dose": dose.tolist()})
    with pytest.raises(ValueError, match="2 settings are too few"):
        rank_regression([1.0, 2.0, np.nan, np.nan], {"a": [1, 2, 3, 4], "b": [1, 3, 2, 4]})


def test_with_few_settings_each_lever_is_looked_at_alone() -> None:
    random = np.random.default_rng(2)
    effects, other = random.normal(size=8), random.normal(size=8)
    levers = {"other": other.tolist(), "cubed": (effects**3).tolist(), "name": ["a", "b"] * 4}
    found = {one.name: one for one in rank_regression(effects, levers).coefficients}
    assert np.isnan(rank_regression(effects, levers).r2)
    assert found["cubed"].value == pytest.approx(1.0) and found["cubed"].low == pytest.approx(1.0)
    assert found["other"].value == pytest.approx(spearmanr(effects, other).statistic)
    assert set(found) == {"other", "cubed", "name = b"}


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    levels = {"pretraining": ("all light", "50/50", "all dark"), "labels": (200,)}
    return measure(synthetic_cube(levels, replicates=12, draws=1, subjects=200, seed=1), 0.8)


@pytest.mark.parametrize(
    ("effect", "spread", "sign", "verdict"),
    [
        (0.5, 0.1, "positive", "robust"),
        (0.5, 0.1, "negative", "not robust"),
        (0.15, 0.3, "positive", "not resolved"),
        (0.02, 0.03, "positive", "negligible"),
    ],
)
def test_verdicts(measures: xr.Dataset, effect: float, spread: float, sign: str, verdict: str) -> None:
    """Effects of one subgroup: what it gains from the one cohort instead of the other."""
    z = xr.zeros_like(measures["z"])
    own = effect + spread * np.linspace(-1, 1, 12)
    z.loc[{"pretraining": "all dark", "subgroup": "dark"}] = own[None, :, None]
    stated = estimand(
        "sign_share",
        name="own effect of dark keeps its sign",
        subgroups=("dark",),
        factor="pretraining",
        reference="all light",
        at={"pretraining": "all dark"},
        sign=sign,
        replicate_sd=0.02,
        replicate_sd_from=6,
    )
    (found,) = estimates(measures.assign(z=z), [stated])
    assert found.verdict == verdict and found.subgroups == ("dark",) and found.replicates == 12
    assert found.low <= found.value <= found.high and f"mean effect {effect:+.3f}" in found.reason


def test_few_settings_with_one_effect_have_no_share(measures: xr.Dataset) -> None:
    z = xr.zeros_like(measures["z"])
    z.loc[{"pretraining": "all dark", "subgroup": "dark"}] = 0.3
    table = {"factor": "pretraining", "reference": "all light", "at": {"pretraining": "all dark"}, "sign": "positive"}
    stated = estimand("sign_share", name="x", subgroups=("dark",), replicate_sd=0.02, replicate_sd_from=6, **table)
    (found,) = estimates(measures.assign(z=z).isel(replicate=slice(5)), [stated])
    assert np.isnan(found.value) and "with no spread of true effects, a share says nothing" in found.reason
    assert "observed sign in 5 of 5 settings; mean effect +0.300" in found.reason


def test_the_sign_is_stated() -> None:
    table = {"name": "x", "factor": "p", "reference": "b", "replicate_sd": 0.1, "replicate_sd_from": 6}
    with pytest.raises(ValueError, match="sign has to be that of the effect"):
        estimand("sign_share", subgroups=("a", "b"), sign="either", **table)
    with pytest.raises(ValueError, match="has no verdict, so it cannot be primary"):
        estimand("sign_share", subgroups=("a", "b"), primary=True, **table)
