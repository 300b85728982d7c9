"""Estimates that are labels read off a learning curve, of a cube whose effect is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from biasprop.estimands import estimand as make
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from tests.synthetic import synthetic_cube

PAIR = ("light", "dark")
ONE = {"labels": 50, "protocol": "linear_probe"}


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return synthetic_cube(replicates=6, subjects=400, seed=1)


RATE = {
    "name": "rate",
    "kind": "exchange_rate",
    "subgroups": PAIR,
    "factor": "pretraining",
    "between": ("all light", "50/50"),
    "budget": "labels",
}


def learned(cube: xr.Dataset, by_share: float, label_share: tuple[float, float] = (0.75, 0.25)) -> xr.Dataset:
    """Measures whose z rises with the shares of the second subgroup in pretraining and with ln(labels), with a height
    of each replicate's own and a small deviation of each arm."""
    cube = cube.assign_coords(
        cohort_size=("pretraining", np.full(4, 20_000.0)), label_share=("subgroup", [*label_share])
    )
    measures = measure(cube, 0.8)
    share = measures["share"].sel(subgroup="dark", drop=True).fillna(-0.25)
    own = xr.DataArray(np.linspace(0.9, 1.1, 6), dims="replicate")
    arm = xr.DataArray(
        0.01 * np.random.default_rng(3).standard_normal((6, 4, 3)), dims=("replicate", "pretraining", "labels")
    )
    z = own + arm - arm.mean("replicate") + by_share * share + 0.2 * np.log(measures["labels"])
    return measures.assign(z=z.broadcast_like(measures["z"]).transpose(*measures["z"].dims))


def test_an_exchange_rate_is_labels_of_b_an_image(cube: xr.Dataset) -> None:
    few, some, most = estimates(learned(cube, by_share=0.4), [make(**RATE, at={"protocol": "full"})])  # pyright: ignore[reportArgumentType]
    assert [one.arm for one in (few, some, most)] == [{"labels": n, "protocol": "full"} for n in (50, 200, 1000)]
    for one, labels in ((few, 50), (some, 200)):
        # 0.2 on z are e = 2.718 times the labels, a quarter of them of the second subgroup.
        expected = 0.25 * (np.e - 1) * labels / 10_000
        assert one.value == pytest.approx(expected, rel=0.2) and one.low < expected < one.high
        assert one.reason == "between shares of 0 and 0.5 of dark in pretraining; read at 50 to 1000 labels"
        assert (one.method, one.verdict, one.replicates) == ("inverse t", "reached", 6)
    assert np.isnan(most.value) and most.low == pytest.approx(0.0) and most.high == np.inf
    assert most.verdict == "not reached" and most.reason.endswith("not reached with the largest budget")


def test_an_image_that_does_harm_has_a_negative_rate(cube: xr.Dataset) -> None:
    few, some, _ = estimates(learned(cube, by_share=-0.4), [make(**RATE, at={"protocol": "full"})])  # pyright: ignore[reportArgumentType]
    assert np.isnan(few.value) and few.low == -np.inf and few.high == pytest.approx(0.0)
    assert few.verdict == "reached" and few.reason.endswith("reached with the smallest budget already")
    expected = 0.25 * (1 / np.e - 1) * 200 / 10_000
    assert some.value == pytest.approx(expected, rel=0.2) and some.low < expected < some.high < 0


def test_an_exchange_rate_says_why_there_is_none(cube: xr.Dataset) -> None:
    def why(measures: xr.Dataset, **changes: object) -> str:
        (found,) = estimates(measures, [make(**(RATE | {"at": ONE} | changes))])  # pyright: ignore[reportArgumentType]
        assert np.isnan([found.value, found.low, found.high]).all() and found.replicates == 0
        return found.reason

    there = learned(cube, 0.4)
    assert "has to be one number above 0" in why(learned(cube, 0.4, (1.0, 0.0)))
    assert "differ in cohort size" in why(there.assign_coords(cohort_size=("pretraining", [1.0, 2.0, 1.0, 1.0])))
    assert "50/50 lies between them" in why(there, between=("all light", "all dark"))
    assert "lower share of dark than all light" in why(there, between=("50/50", "all light"))
    assert "lower share of dark than all dark" in why(there, between=("scratch", "all dark"))
    third = there["share"].copy()
    third.loc[{"pretraining": "50/50", "subgroup": "light"}] = 0.2
    assert "more than images of light in the place of images of dark" in why(there.assign_coords(share=third))
    assert "no mixes with known shares" in why(there.drop_vars("share"))


def test_label_efficiency_is_read_off_the_mean_curve(cube: xr.Dataset) -> None:
    shared = {"name": "ratio", "kind": "label_efficiency", "subgroups": PAIR, "factor": "pretraining"}
    shared |= {"reference": "scratch", "budget": "labels"}
    stated = make(**shared, at={"pretraining": "all light", "protocol": "full"})  # pyright: ignore[reportArgumentType]
    first, second, last = estimates(learned(cube, by_share=0.8), [stated])
    for one in (first, second):  # scratch is 0.2 on z behind
        assert one.value == pytest.approx(np.e, rel=0.2) and one.low < np.e < one.high
        assert one.verdict == "reached" and one.reason == "read at 50 to 1000 labels"
    assert np.isnan(last.value) and (last.low, last.high) == (1.0, np.inf) and last.verdict == "not reached"
    assert last.reason == "read at 50 to 1000 labels; not reached with the largest budget"
    (worse, _, _) = estimates(learned(cube, by_share=-0.8), [stated])
    assert np.isnan(worse.value) and (worse.low, worse.high) == (0.0, 1.0) and worse.verdict == "reached"
    everyone = make(**shared, at={"protocol": "full", "labels": 50})  # pyright: ignore[reportArgumentType]
    found = estimates(learned(cube, 0.8), [everyone])
    assert [one.arm["pretraining"] for one in found] == ["all light", "50/50", "all dark"]


def test_one_replicate_is_read_without_an_interval(cube: xr.Dataset) -> None:
    (one,) = estimates(learned(cube, 0.4).isel(replicate=[0]), [make(**RATE, at=ONE)])  # pyright: ignore[reportArgumentType]
    assert np.isfinite(one.value) and np.isnan([one.low, one.high]).all() and "2 replicates" in one.reason


def test_a_scale_on_which_low_is_good_is_turned(cube: xr.Dataset) -> None:
    measures = learned(cube, 0.4)
    measures["brier"] = -measures["z"]
    (z, brier) = (estimates(measures, [make(**RATE, at=ONE, scale=scale)])[0] for scale in ("z", "brier"))  # pyright: ignore[reportArgumentType]
    assert (brier.value, brier.low, brier.high) == pytest.approx((z.value, z.low, z.high))
