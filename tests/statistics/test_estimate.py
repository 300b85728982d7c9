"""Measures and estimates of a cube whose effect is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.special import stdtrit

from biasprop.estimands import estimand as make
from biasprop.statistics.estimand import Estimand
from biasprop.statistics.estimate import estimates
from biasprop.statistics.levels import levels, reference_level
from biasprop.statistics.measures import measure, per_replicate
from biasprop.statistics.verdict import zone
from tests.synthetic import synthetic_cube, true_gap

PAIR = ("light", "dark")
SWAP = {"subgroups": PAIR, "factor": "pretraining", "skewed": ("all light", "all dark")}
EXCESS = {"subgroups": PAIR, "factor": "pretraining", "reference": "50/50"}
ONE = {"labels": 50, "protocol": "linear_probe"}


def swap(name: str = "swap", **changes: object) -> Estimand:
    return make(**({"name": name, "kind": "swap_contrast", **SWAP} | changes))  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return synthetic_cube(replicates=6, subjects=400, seed=1)


@pytest.fixture(scope="module")
def measures(cube: xr.Dataset) -> xr.Dataset:
    return measure(cube, 0.8)


def test_a_common_gap_and_a_swap_contrast_make_up_the_gap(measures: xr.Dataset) -> None:
    to_a = {"pretraining": "all light", **ONE}
    stated = [
        make(name="gap", kind="gap", subgroups=PAIR, at=to_a, primary=True),
        swap(at=ONE),
        swap("common", kind="common_gap", at=ONE),
    ]
    gap, beta, common = estimates(measures, stated)
    assert gap.value == pytest.approx(beta.value + common.value)
    assert common.method == "t" and common.low < common.value < common.high


def test_amplification_is_what_the_swap_contrast_has_beyond_the_largest_budget(measures: xr.Dataset) -> None:
    at = {"protocol": "linear_probe"}
    stated = [swap(at=at), swap("more", kind="amplification", budget="labels", at=at)]
    *curve, few, some = estimates(measures, stated)
    assert [one.arm["labels"] for one in (few, some)] == [50, 200]
    assert few.value == pytest.approx(curve[0].value - curve[2].value)
    assert some.value == pytest.approx(curve[1].value - curve[2].value)
    assert few.verdict == "" and few.method == "t" and few.replicates == 6


def test_measures_have_the_cubes_dims_and_coords(cube: xr.Dataset, measures: xr.Dataset) -> None:
    arm = ("pretraining", "labels", "protocol", "replicate", "draw")
    assert measures["auc"].dims == (*arm, "subgroup")
    assert measures["flip_rate"].dims == arm
    assert measures["separability"].dims == arm[:-1]
    assert measures["share"].identical(cube["share"])
    assert measures.attrs["target_specificity"] == 0.8


def test_unplanned_draws_are_nan_and_count_for_nothing(measures: xr.Dataset) -> None:
    full = measures.sel(protocol="full")
    assert full["auc"].isel(draw=1).isnull().all()
    assert (full["n"].isel(draw=1) == 0).all()
    whole = per_replicate(measures, "z").sel(protocol="full")
    xr.testing.assert_allclose(whole, full["z"].isel(draw=0, drop=True))


def test_draws_are_averaged_on_z(measures: xr.Dataset) -> None:
    z = measures["z"].sel(protocol="linear_probe")
    found = per_replicate(measures, "z").sel(protocol="linear_probe")
    np.testing.assert_allclose(found, z.values.mean(axis=z.dims.index("draw")))


@pytest.mark.parametrize("status", [0, 2, 3])
def test_a_replicate_with_one_bad_draw_is_no_replicate(cube: xr.Dataset, status: int) -> None:
    cube = cube.copy(deep=True)
    at = {"pretraining": "all light", **ONE, "replicate": 2}
    cube["status"].loc[at | {"draw": 1}] = status
    cube["score"].loc[at | {"draw": 1}] = 99.0  # must not be read
    found = per_replicate(measure(cube, 0.8), "z").sel(
        {name: level for name, level in at.items() if name != "replicate"}
    )
    assert found.isnull().any("subgroup").values.tolist() == [False, False, True, False, False, False]
    (estimate,) = estimates(measure(cube, 0.8), [swap(at=ONE)])
    assert estimate.replicates == 5
    assert estimate.reason.startswith("1 of 6 replicates left out: 1 ")
    assert {0: "not run", 2: "diverged", 3: "failed"}[status] in estimate.reason


def test_an_undefined_auc_leaves_its_replicate_out(cube: xr.Dataset) -> None:
    cube = cube.copy(deep=True)
    cube["label"].loc[{"pretraining": "all dark", **ONE, "replicate": 0}] = 0
    (estimate,) = estimates(measure(cube, 0.8), [swap(at=ONE)])
    assert estimate.replicates == 5
    assert "1 undefined" in estimate.reason


def test_a_perfect_auc_is_moved_and_counted(cube: xr.Dataset) -> None:
    cube = cube.copy(deep=True)
    at = {"pretraining": "50/50", **ONE, "replicate": 0, "draw": 0}
    cube["score"].loc[at] = cube["label"].loc[{k: v for k, v in at.items() if k != "draw"}].values * 2.0 - 1.0
    found = measure(cube, 0.8)
    assert found["auc_moved"].sum() == 2
    assert np.isfinite(found["z"].loc[at]).all()
    row = next(row for row in levels(found) if row.arm == {"pretraining": "50/50", **ONE})
    assert row.moved == 2


def test_separability_of_more_than_two_subgroups_is_the_mean_placement() -> None:
    three = synthetic_cube({"pretraining": ("all light",)}, 2, 1, 60, subgroups=("light", "dark", "other"))
    three["separability_score"][:] = np.array([0.5, 0.7, 0.9])[:, None]
    assert np.allclose(measure(three, 0.8)["separability"], 0.7)


def test_the_known_effect_is_found(measures: xr.Dataset) -> None:
    gaps = estimates(measures, [make(name="g", kind="gap", subgroups=PAIR)])
    assert len(gaps) == 24
    errors = [
        (g.value - true_gap(str(g.arm["pretraining"]), float(g.arm["labels"]))) / g.se  # type: ignore[arg-type]
        for g in gaps
    ]
    assert np.max(np.abs(errors)) < 8  # t with 5 degrees of freedom, the largest of 24
    assert np.mean(np.abs(errors)) < 1.5
    (beta,) = estimates(measures, [swap(at=ONE, primary=True)])
    assert beta.low < 0.4 < beta.high
    assert (beta.verdict, beta.reason) == ("material", "")
    (turned,) = estimates(measures, [swap(at=ONE, primary=True, sign="negative")])
    assert (turned.verdict, turned.reason) == ("material", "against the expected sign")
    (either,) = estimates(measures, [swap(at=ONE, primary=True, sign="either")])
    assert either.reason == ""


def test_gap_and_swap_turn_with_the_subgroups(measures: xr.Dataset) -> None:
    (there,) = estimates(measures, [swap(at=ONE)])
    (back,) = estimates(measures, [swap(at=ONE, subgroups=("dark", "light"))])
    assert back.value == pytest.approx(-there.value)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_the_auc_scale(measures: xr.Dataset) -> None:
    (estimate,) = estimates(measures, [swap(at=ONE, scale="auc")])
    auc = measures["auc"].sel(ONE).mean("draw")
    gap = auc.sel(subgroup="light") - auc.sel(subgroup="dark")
    expected = 0.5 * (gap.sel(pretraining="all light") - gap.sel(pretraining="all dark"))
    assert estimate.value == pytest.approx(float(expected.mean()))


def test_no_effect_is_negligible_and_a_small_one_leaves_out_0() -> None:
    still = {"replicates": 8, "subjects": 2000, "replicate_sd": 0.0, "seed": 4}
    factors = {"pretraining": ("all light", "all dark")}
    nothing = synthetic_cube(factors, draws=1, effect=0.0, **still)  # type: ignore[arg-type]
    assert estimates(measure(nothing, 0.8), [swap(primary=True, margin=0.2)])[0].verdict == "negligible"
    some = synthetic_cube(factors, draws=8, effect=0.1, **still)  # type: ignore[arg-type]
    (small,) = estimates(measure(some, 0.8), [swap(primary=True, margin=0.3)])
    assert (small.verdict, small.reason) == ("negligible", "leaves out 0")
    (turned,) = estimates(measure(some, 0.8), [swap(primary=True, margin=0.3, sign="negative")])
    assert turned.reason == "leaves out 0; against the expected sign"


def test_one_interval_decides(measures: xr.Dataset) -> None:
    """95 % for the primary, Bonferroni over all estimates of all secondary tables, none for exploratory ones."""
    stated = [
        swap("main", at=ONE, primary=True),
        swap("all", secondary=True),
        make(name="loss", kind="difference", minus={"pretraining": "50/50"}, at=ONE, secondary=True),
        swap("more", at={"labels": 50}),
    ]
    found = estimates(measures, stated)
    main, *others = found
    secondary = [one for one in others if one.role == "secondary"]
    assert len(secondary) == 6 + 3 * 2, "six arms of one table, three arms by two subgroups of the other"
    assert (main.zone_low, main.zone_high) == (main.low, main.high) and main.role == "primary" and main.primary
    for one in secondary:
        wider = stdtrit(5, 1 - 0.025 / 12) * one.se
        assert (one.zone_low, one.zone_high) == pytest.approx((one.value - wider, one.value + wider))
        assert one.verdict == zone(one.zone_low, one.zone_high, one.margin)
        assert ("replicates would" in one.reason) == (one.verdict == "not resolved")
    assert {"material", "not resolved"} <= {one.verdict for one in secondary}
    for one in others[12:]:
        assert one.role == "exploratory" and one.verdict == "" and one.reason == ""
        assert np.isnan([one.zone_low, one.zone_high]).all() and one.low < one.value < one.high


def test_missing_estimates_count_in_the_family(cube: xr.Dataset, measures: xr.Dataset) -> None:
    stated = [swap(secondary=True)]
    lacking = measures.copy(deep=True)
    lacking["status"].loc[{"protocol": "full"}] = 0
    whole, part = estimates(measures, stated), estimates(lacking, stated)
    assert [one.replicates for one in part] == [6, 0] * 3
    for one, other in zip(whole[::2], part[::2], strict=True):
        assert (other.zone_low, other.zone_high) == (one.zone_low, one.zone_high)
    assert all(one.verdict == "not resolved" and np.isnan(one.zone_low) for one in part[1::2])


def test_excess_gap(measures: xr.Dataset) -> None:
    stated = make(name="e", kind="excess_gap", subgroups=PAIR, factor="pretraining", reference="50/50", at=ONE)  # type: ignore[arg-type]
    found = {e.arm["pretraining"]: e for e in estimates(measures, [stated])}
    assert list(found) == ["all light", "all dark", "scratch"]
    z = per_replicate(measures, "z").sel(ONE)
    gap = z.sel(subgroup="light") - z.sel(subgroup="dark")
    expected = float((gap.sel(pretraining="all dark") - gap.sel(pretraining="50/50")).mean())
    assert found["all dark"].value == pytest.approx(expected)
    assert list(found["all dark"].arm) == ["pretraining", "labels", "protocol"]


def test_retention(measures: xr.Dataset) -> None:
    stated = swap("r", kind="retention", denominator=ONE)
    found = estimates(measures, [stated])
    assert ONE not in [e.arm for e in found]  # itself over itself is no estimate
    assert len(found) == 5
    beta = {str(e.arm): e.value for e in estimates(measures, [swap()])}
    for estimate in found:
        assert estimate.method == "Fieller"
        assert estimate.value == pytest.approx(beta[str(estimate.arm)] / beta[str(ONE)])


def test_retention_without_a_denominator_is_nan_with_the_reason() -> None:
    flat = synthetic_cube(effect=0.0, subjects=100, replicates=4, seed=3)
    found = estimates(measure(flat, 0.8), [swap("r", kind="retention", denominator=ONE)])
    assert all(np.isnan([e.value, e.low, e.high]).all() for e in found)
    assert all(e.verdict == "" and "denominator" in e.reason for e in found)


def test_halving_budget(measures: xr.Dataset) -> None:
    stated = swap("h", kind="halving_budget", budget="labels")
    found = estimates(measures, [stated])
    assert [e.arm for e in found] == [{"protocol": "linear_probe"}, {"protocol": "full"}]
    for e in found:  # 0.4, 0.2 and 0.09: half of the first is reached at 200
        assert e.verdict == "reached" and e.low < e.value < e.high and e.low < 200 < e.high
        assert e.method == "inverse t" and e.reason.startswith("read at 50 to 1000 labels")
    turned = estimates(measures, [stated.model_copy(update={"subgroups": PAIR[::-1]})])
    assert [e.value for e in turned] == pytest.approx([e.value for e in found]), "sizes count, not signs"
    (early, _) = estimates(measures.sel(labels=[200, 50]), [stated])
    assert early.reason.startswith("read at 50 to 200 labels") and np.isinf(early.high)
    assert "no upper bound" in early.reason or "not reached" in early.reason
    none = synthetic_cube({"pretraining": ("all light", "all dark"), "labels": (50, 200)}, effect=0.0, subjects=100)
    (flat,) = estimates(measure(none, 0.8), [stated])
    assert flat.verdict == "" and np.isnan([flat.value, flat.low, flat.high]).all()
    assert "is not distinguishable from 0" in flat.reason


def test_arms_that_are_not_there_say_so(cube: xr.Dataset) -> None:
    part = synthetic_cube(replicates=4, subjects=80, open_arms=4)  # the last arm of scratch, which no swap needs
    assert all(np.isfinite(e.value) for e in estimates(measure(part, 0.8), [swap()]))
    (scratch,) = estimates(
        measure(part, 0.8),
        [
            make(
                name="g",
                kind="gap",
                subgroups=PAIR,
                at={"pretraining": "scratch", "labels": 1000, "protocol": "full"},
                primary=True,
            )
        ],
    )
    assert np.isnan([scratch.value, scratch.low, scratch.zone_low]).all()
    assert scratch.replicates == 0
    assert scratch.verdict == "not resolved"
    assert scratch.reason == "4 of 4 replicates left out: 4 not run"
    (lacking,) = estimates(measure(cube.sel(pretraining=["all light", "50/50"]), 0.8), [swap(at=ONE)])
    assert lacking.reason == "not in the store: pretraining = all dark"
    (other,) = estimates(measure(cube, 0.8), [swap(at={"labels": 777, "protocol": "full"})])
    assert other.reason == "not in the store: labels = 777"


def test_one_replicate_has_values_without_intervals(cube: xr.Dataset) -> None:
    (estimate,) = estimates(measure(cube.isel(replicate=[0]), 0.8), [swap(at=ONE, primary=True)])
    assert np.isfinite(estimate.value)
    assert np.isnan([estimate.low, estimate.high, estimate.zone_low]).all()
    assert estimate.verdict == "not resolved"
    assert "2 replicates" in estimate.reason


def test_an_empty_cube_has_no_numbers() -> None:
    empty = synthetic_cube(replicates=2, subjects=20, open_arms=48)
    measures = measure(empty, 0.8)
    found = estimates(measures, [swap(), swap("h", kind="halving_budget", budget="labels")])
    assert all(np.isnan(e.value) for e in found)
    assert all(row.replicates == 0 for row in levels(measures))


def test_the_reference_of_levelling_down_is_stated_or_balanced(measures: xr.Dataset) -> None:
    assert reference_level(measures, []) == ("pretraining", "50/50")
    stated = make(name="e", kind="excess_gap", subgroups=PAIR, factor="pretraining", reference="scratch")
    assert reference_level(measures, [stated]) == ("pretraining", "scratch")
    assert reference_level(measures.drop_vars("share"), []) is None
    assert all(row.levelling_down is None for row in levels(measures.drop_vars("share")))


def test_differences_that_are_all_0_are_negligible_with_no_width(cube: xr.Dataset) -> None:
    """What a study with all levers off must say: certain, not undefined."""
    same = cube.copy(deep=True)
    same["score"][:] = cube["score"].isel(pretraining=0, subgroup=0).values[None, ..., None, :]
    same["label"][:] = cube["label"].isel(pretraining=0).values
    kinds = [
        swap(at=ONE, primary=True),
        make(name="gap", kind="gap", subgroups=PAIR, at=ONE, secondary=True),
        make(name="excess", kind="excess_gap", **EXCESS, at=ONE, secondary=True),
        swap("retention", kind="retention", denominator={"labels": 1000}, at=ONE),
        swap("halving", kind="halving_budget", budget="labels", at={"protocol": "linear_probe"}),
    ]
    found = estimates(measure(same, 0.8), kinds)
    for one in found:
        if one.kind in ("retention", "halving_budget"):
            assert np.isnan([one.value, one.low, one.high]).all() and one.verdict == ""
            assert "contains 0" in one.reason or "is not distinguishable from 0" in one.reason
        else:
            assert (one.value, one.low, one.high, one.zone_low, one.zone_high, one.se) == (0,) * 6
            assert one.verdict == "negligible" and not one.reason
