"""Areas on shared subjects, the equivalence of subgroups, brackets, and gaps taken apart."""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from biasprop.estimands import estimand as make
from biasprop.report.difficulty import ledger_table, parts_table, tables
from biasprop.report.tables import text
from biasprop.statistics.areas import Areas, paired_areas
from biasprop.statistics.decomposition import Place, decompose, split
from biasprop.statistics.difficulty import (
    MARGIN,
    Comparison,
    Ledger,
    Row,
    equally_hard,
    estimated,
    known,
    normal_distance,
    z_of,
)
from biasprop.statistics.measures import measure, per_replicate
from biasprop.statistics.summary import summary_of
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, NOT_RESOLVED, UNCLEAR
from tests.synthetic import synthetic_cube

PAIR = ("light", "dark")


def scores(
    z: tuple[float, ...], n: int, sets: int, seed: int = 0, shared: float = 0.7
) -> tuple[np.ndarray, np.ndarray]:
    """Unit binormal scores [set, subgroup, subject] of healthy and diseased twins, alike within a subject: half of what
    is shared is common to both states and all subgroups, half to all subgroups of one state."""
    random = np.random.default_rng(seed)
    subject = np.sqrt(shared / 2) * random.normal(size=(sets, 1, n))
    low, high = (
        subject
        + np.sqrt(shared / 2) * random.normal(size=(sets, 1, n))
        + np.sqrt(1 - shared) * random.normal(size=(sets, len(z), n))
        for _ in range(2)
    )
    return low, high + np.asarray(z)[None, :, None]


# --- areas -----------------------------------------------------------------------------------------------------------


def test_an_area_is_the_share_of_pairs_of_different_subjects() -> None:
    low, high = scores((0.8, 0.5), 25, 1)
    low, high = np.round(low[0], 1), np.round(high[0], 1)  # ties
    pairs = list(itertools.permutations(range(25), 2))
    share = [np.mean([(h[i] > b[j]) + 0.5 * (h[i] == b[j]) for i, j in pairs]) for b, h in zip(low, high, strict=True)]
    np.testing.assert_allclose(paired_areas(low, high).area, share, atol=1e-12)


def test_with_many_subjects_it_is_the_usual_area() -> None:
    low, high = scores((1.0,), 3_000, 1, shared=0.0)
    usual = roc_auc_score(np.repeat([0, 1], 3_000), np.concatenate([low[0, 0], high[0, 0]]))
    assert paired_areas(low[0], high[0]).area[0] == pytest.approx(usual, abs=3e-4)


def test_variances_and_covariances_are_those_of_repeated_cohorts() -> None:
    low, high = scores((1.0, 0.6), 150, 600)
    found = [paired_areas(*each) for each in zip(low, high, strict=True)]
    true = np.cov(np.stack([each.area for each in found]).T)
    told = np.mean([each.covariance for each in found], axis=0)
    np.testing.assert_allclose(told, true, rtol=0.2)
    assert told[0, 1] > 0.3 * told[0, 0], "twins of subgroup share their subject"
    alone = np.mean(
        [paired_areas(b, np.roll(h, 1, -1)).covariance for b, h in zip(low[:50], high[:50], strict=True)], 0
    )
    assert told[0, 0] < 0.9 * alone[0, 0], "twins of label share their subject"


def test_zones_are_wrong_at_most_at_their_level() -> None:
    """On the edge of the margin, and where nothing differs."""
    b = 0.80
    edge = (float(np.sqrt(2) * norm.ppf(b + MARGIN)), float(np.sqrt(2) * norm.ppf(b)))
    assert share((NEGLIGIBLE,), edge, seed=1) < 0.025 + 3 * math.sqrt(0.025 * 0.975 / SETS)
    same = (edge[1], edge[1])
    assert share((MATERIAL, UNCLEAR), same, seed=2) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / SETS)
    assert share((NEGLIGIBLE,), same, seed=2) > 0.5, "it can tell that nothing differs"


SETS = 500


def share(verdicts: tuple[str, ...], z: tuple[float, float], seed: int, n: int = 1_000) -> float:
    """Share of cohorts on which a comparison ends so."""
    low, high = scores(z, n, SETS, seed, shared=0.9)
    told = [estimated("o", "lower", PAIR, paired_areas(*each), n) for each in zip(low, high, strict=True)]
    return float(np.mean([each.comparisons[0].verdict in verdicts for each in told]))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.019, NEGLIGIBLE),
        (0.001, 0.019, NEGLIGIBLE),
        (0.001, 0.021, UNCLEAR),
        (0.021, 0.03, MATERIAL),
        (-0.021, 0.01, NOT_RESOLVED),
    ],
)
def test_the_verdict_of_a_comparison_is_a_zone(low: float, high: float, verdict: str) -> None:
    comparison = Comparison("o", "lower", PAIR, (low + high) / 2, low, high)
    assert comparison.verdict == verdict
    stored = Ledger((), (comparison,)).to_json()
    stored["comparisons"][0]["verdict"] = "equal within 0.02"  # as of earlier versions
    assert Ledger.from_json(stored).comparisons[0].verdict == verdict
    assert repr(Ledger.from_json(stored)) == repr(Ledger((), (comparison,)))  # == is False where a field is NaN


# --- the ledger ------------------------------------------------------------------------------------------------------


def bracketed(lower: tuple[float, float], upper: tuple[float, float], se: float = 0.001) -> Ledger:
    areas = Areas(np.array(lower), se**2 * np.eye(2))
    return estimated("channels", "lower", PAIR, areas, 100) + known(
        "told", "upper", dict(zip(PAIR, upper, strict=True))
    )


def test_brackets_hold_what_is_known_and_no_more() -> None:
    nothing = Ledger((), ())
    assert nothing.bracket("light") == (0.5, 1.0) and nothing.physics(PAIR) == (-math.inf, math.inf)
    found = bracketed((0.8, 0.7), (0.9, 0.9))
    low, high = found.bracket("light")
    assert low == pytest.approx(0.8 - 1.96 * 0.001, abs=1e-5) and high == 0.9
    gap = found.physics(PAIR)
    assert gap[0] == pytest.approx(z_of(low) - z_of(0.9)) and gap[0] < 0 < gap[1]
    exact = found + known("ideal observer", "exact", {"light": 0.85, "dark": 0.84})
    assert exact.bracket("light") == (0.85, 0.85)
    assert exact.physics(PAIR) == pytest.approx((z_of(0.85) - z_of(0.84),) * 2)


def test_a_network_bounds_the_ideal_observer_and_never_is_it() -> None:
    network = estimated("vit from scratch", "learner", PAIR, Areas(np.array([0.88, 0.86]), 1e-6 * np.eye(2)), 100)
    found = bracketed((0.8, 0.7), (0.9, 0.9)) + network
    assert 0.87 < found.bracket("light")[0] < 0.88 and found.bracket("light")[1] == 0.9
    assert found.learner(PAIR) == pytest.approx(z_of(0.88) - z_of(0.86)) and math.isnan(
        bracketed((0.8, 0.7), (1, 1)).learner(PAIR)
    )
    assert {row.kind for row in network.rows} == {"learner"}
    with pytest.raises(ValueError, match="no kind of row"):
        Row("network", "ideal", ("light",), 0.9)  # type: ignore[arg-type]


def test_equally_hard_takes_both_ends() -> None:
    assert equally_hard(bracketed((0.8, 0.8), (0.9, 0.9)), PAIR)[0] == NEGLIGIBLE
    assert equally_hard(bracketed((0.8, 0.8), (0.95, 0.9)), PAIR)[0] == NOT_RESOLVED
    assert equally_hard(bracketed((0.8, 0.7), (0.9, 0.9)), PAIR)[0] == NOT_RESOLVED
    assert equally_hard(bracketed((0.8, 0.6), (0.9, 0.7)), PAIR)[0] == MATERIAL
    assert equally_hard(bracketed((0.8, 0.6), (0.9, 0.79)), PAIR)[0] == UNCLEAR
    assert equally_hard(known("ideal observer", "exact", {"light": 0.85, "dark": 0.8}), PAIR) == (MATERIAL, "exact")


def test_the_distance_of_two_normal_laws() -> None:
    x = np.linspace(-20, 20, 400_001)
    for one, other in (((0.0, 1.0), (1.0, 1.0)), ((0.5, 1.0), (2.0, 2.0)), ((0.0, 1.0), (0.0, 3.0))):
        assert normal_distance(one, other) == pytest.approx(
            np.abs(norm.cdf(x, *one) - norm.cdf(x, *other)).max(), abs=1e-8
        )
    assert normal_distance((0.3, 1.2), (0.3, 1.2)) == 0


def test_a_ledger_round_trips_as_json_and_prints() -> None:
    found = bracketed((0.8, 0.7), (0.9, 0.9)) + known("ideal", "exact", {"light": 0.85, "dark": 0.8}, {PAIR: 0.07})
    assert Ledger.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))).to_json() == found.to_json()
    shown = text([ledger_table(found, "dermoscopy", PAIR)], 200)
    for words in ("exact", "lower", "upper", "material", "0.850", "0.800 [0.798, 0.802]", "0.070", "not ideal itself"):
        assert words in shown, words


# --- what a gap is made of -------------------------------------------------------------------------------------------

SWAP = make(
    name="swap",
    kind="swap_contrast",
    subgroups=PAIR,
    factor="pretraining",
    skewed=("all light", "all dark"),
    primary=True,
)
MIXES = ("all light", "50/50", "all dark")


def places(ledger: Ledger, even: bool = True, plenty: bool = True) -> list[Place]:
    scratch = {"pretraining": "scratch", "labels": 1000, "protocol": "full"}
    arms = [dict(pretraining=m, labels=n, protocol="full") for m in MIXES for n in (50, 200, 1000)]
    return [Place(a, a | {"pretraining": "50/50"} if even else None, scratch if plenty else None, ledger) for a in arms]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    return measure(synthetic_cube(replicates=5, subjects=200, effect=0.8), 0.8)


def test_terms_add_up_in_every_replicate() -> None:
    random = np.random.default_rng(1)
    observed, even, plenty = random.normal(size=(3, 7))
    for learner in (plenty, 0.3):
        terms = split(observed, even, learner, 0.2)
        total = terms["physics"] + terms["learner"] + terms["adaptation"] + terms["skew"]
        np.testing.assert_allclose(total, observed, atol=1e-14)
        np.testing.assert_allclose(terms["physics"] + terms["learner"], terms["physics and learner"], atol=1e-14)
    assert np.isnan(split(observed, even, plenty, np.nan)["learner"]).all()


def test_parts_are_means_of_the_terms_and_lead_with_the_swap_contrast(measures: xr.Dataset) -> None:
    ledger = known("ideal observer", "exact", {"light": 0.85, "dark": 0.8})
    found = decompose(measures, places(ledger), PAIR, [SWAP])
    assert [each.arm["labels"] for each in found] == [50] * 3 + [200] * 3 + [1000] * 3, "one swap contrast, one block"
    z = per_replicate(measures, "z").sel(protocol="full")
    gaps = (z.sel(subgroup="light") - z.sel(subgroup="dark")).mean("replicate")
    for each in found:
        term = {name: mean.value for name, mean in each.terms.items()}
        assert term["gap"] == pytest.approx(
            float(gaps.sel(pretraining=each.arm["pretraining"], labels=each.arm["labels"]))
        )
        assert term["gap"] == pytest.approx(sum(term[t] for t in ("physics", "learner", "adaptation", "skew")))
        assert term["physics"] == pytest.approx(z_of(0.85) - z_of(0.8)) == each.bracket[0] == each.bracket[1]
        sides = gaps.sel(labels=each.arm["labels"])
        assert each.swap.value == pytest.approx(
            float(sides.sel(pretraining="all light") - sides.sel(pretraining="all dark")) / 2
        )
    assert [each.terms["skew"].value for each in found if each.arm["pretraining"] == "50/50"] == [0.0] * 3
    shown = text([parts_table(found, PAIR)], 200)
    assert (
        "The swap contrast comes first" in shown
        and "in another order" in shown
        and shown.index("swap contrast") < shown.index("physics  ")
    )


def test_what_cannot_be_had_is_nan_with_a_reason(measures: xr.Dataset) -> None:
    ledger = bracketed((0.8, 0.7), (0.9, 0.9))
    found = decompose(measures, places(ledger), PAIR, [SWAP])[0]
    assert math.isnan(found.terms["physics"].value) and math.isnan(found.terms["learner"].value)
    assert not math.isnan(found.terms["physics and learner"].value) and found.bracket == ledger.physics(PAIR)
    assert "physics and learner" in text([parts_table([found], PAIR)], 200)
    found = decompose(measures, places(ledger, even=False, plenty=False), PAIR)[0]
    assert all(math.isnan(found.terms[name].value) for name in ("physics and learner", "adaptation", "skew"))
    assert "no arm pretrained on equal shares" in found.reason and "--difficulty" in found.reason
    assert found.terms["gap"].replicates == 5 and found.swap.replicates == 0
    network = estimated("net", "learner", PAIR, Areas(np.array([0.88, 0.86]), 1e-6 * np.eye(2)), 100)
    found = decompose(measures, places(ledger + network, plenty=False), PAIR)[0]
    assert found.terms["physics and learner"].value == pytest.approx(z_of(0.88) - z_of(0.86))


def test_arms_that_a_store_lacks_are_left_out(measures: xr.Dataset) -> None:
    ledger = bracketed((0.8, 0.7), (0.9, 0.9))
    few = measures.sel(pretraining=["all light", "all dark"], labels=[50, 200])
    found = decompose(few, places(ledger), PAIR, [SWAP])
    assert [tuple(part.arm.values())[:2] for part in found] == [
        (mix, labels) for labels in (50, 200) for mix in ("all light", "all dark")
    ]
    whole = {str(part.arm): part for part in decompose(measures, places(ledger), PAIR, [SWAP])}
    for part in found:
        assert part.swap == whole[str(part.arm)].swap and part.terms["gap"] == whole[str(part.arm)].terms["gap"]
        assert part.terms["skew"].replicates == 0 and "no arm pretrained on equal shares" in part.reason


def test_tables_name_the_subgroups_that_are_compared(measures: xr.Dataset) -> None:
    """Of three subgroups and no estimand that compares two, those of the terms are the first two."""
    three = measure(synthetic_cube(replicates=3, subjects=60, subgroups=("light", "dark", "other")), 0.8)
    arms = [Place(place.arm, None, None, Ledger((), ())) for place in places(bracketed((0.8, 0.7), (0.9, 0.9)))]
    summary = summary_of(three, [], arms)
    study = SimpleNamespace(estimands=(), subgroups=("light", "dark", "other"))
    (table,) = tables(study, [], summary)  # pyright: ignore[reportArgumentType]
    assert str(table.title).startswith("Terms of each gap light - dark on z")
    assert summary.levels[0].compared == PAIR
    gap = next(row for row in summary.levels if row.arm == summary.parts[0].arm).across["z_gap"]
    assert summary.parts[0].terms["gap"].value == pytest.approx(gap.value)


def test_every_term_is_of_the_same_replicates(measures: xr.Dataset) -> None:
    broken = measures.copy(deep=True)
    lost = {"pretraining": "50/50", "labels": 50, "protocol": "full", "replicate": 2, "draw": 0}
    broken["status"].loc[lost] = 2
    ledger = known("ideal observer", "exact", {"light": 0.85, "dark": 0.8})
    found = decompose(broken, places(ledger), PAIR, [SWAP])[0]
    assert {mean.replicates for mean in found.terms.values()} == {4}
    term = {name: mean.value for name, mean in found.terms.items()}
    assert term["gap"] == pytest.approx(sum(term[t] for t in ("physics", "learner", "adaptation", "skew")))
