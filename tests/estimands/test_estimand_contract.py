"""The contract of every kind of estimand, on examples made from its own fields and a cube whose effect is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from biasprop.estimands import ESTIMANDS, estimand
from biasprop.metrics import SCALES
from biasprop.statistics.estimand import Estimand, references
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.statistics.verdict import NOT_REACHED, NOT_RESOLVED, REACHED, zone
from tests.synthetic import synthetic_cube

COMMON = {"name", "kind", "at", "scale", "margin", "sign", "primary", "secondary", "minus"}
ARM = {"pretraining": "all light", "labels": 50, "protocol": "full"}
SUBGROUPS = ("light", "dark", "other")
OTHER = {"labels": 1000, "protocol": "linear_probe"}
SWITCHES = {"off": {"pretraining": "all light", "labels": 50}, "on": {"pretraining": "all dark", "labels": 1000}}
"""Fields that are tables of levels which the contrast runs over, with an example."""
NUMBERS = {"replicate_sd": 0.05, "replicate_sd_from": 6}
"""Fields that are numbers, with an example."""
KINDS = [pytest.param(kind, id=kind) for kind in ESTIMANDS]


def example(kind: str, **changes: Any) -> dict[str, Any]:
    """A valid table with every field of a kind, at one arm of the cube."""
    table: dict[str, Any] = {"name": kind, "kind": kind}
    fields = ESTIMANDS[kind].model_fields
    single_levels = iter(("50/50", "scratch", "all light"))
    for field, what in references(ESTIMANDS[kind]).items():
        several = "tuple" in str(fields[field].annotation)
        if field != "at" and (field != "minus" or fields[field].is_required()):
            table[field] = {
                "factor": "protocol" if field == "protocol" else "pretraining",
                "budget": "labels",
                "level": ("all light", "50/50" if field == "between" else "all dark")
                if several
                else next(single_levels)
                if what == "level"
                else None,
                "arm": SWITCHES.get(field, OTHER),
                "subgroup": SUBGROUPS[int(field == "versus") :][:2] if several else "dark",
            }[what]
    table |= {name: value for name, value in NUMBERS.items() if name in fields}
    fields_over = (table[field] for field in ESTIMANDS[kind].runs_over)
    over = {name for value in fields_over for name in ([value] if isinstance(value, str) else value)}
    return table | {"at": {name: level for name, level in ARM.items() if name not in over}} | changes


def stated(kind: str, **changes: Any) -> Estimand:
    table = example(kind, **changes)
    return estimand(table.pop("kind"), **table)


def measured() -> xr.Dataset:
    cube = synthetic_cube(replicates=6, draws=1, subjects=200, seed=1, subgroups=SUBGROUPS)
    mixes = cube.sizes["pretraining"]
    return measure(cube, 0.8).assign_coords(
        cohort_size=("pretraining", np.full(mixes, 20_000)), label_share=("subgroup", np.full(3, 1 / 3))
    )


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    return measured()


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_a_kind_is_read_as_it_is_written(kind: str) -> None:
    one = stated(kind)
    assert isinstance(one, ESTIMANDS[kind]) and one.kind == kind == type(one).model_fields["kind"].default
    again = estimand(**{"kind": kind} | one.model_dump(exclude_defaults=True))
    assert again == one


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_field_and_a_foreign_one_are_refused(kind: str) -> None:
    required = [name for name, field in ESTIMANDS[kind].model_fields.items() if field.is_required()]
    assert set(ESTIMANDS[kind].model_fields) - COMMON, "a kind says what it is of"
    for name in required:
        with pytest.raises(ValidationError, match=f"{name}\n  Field required"):
            estimand(kind, **{key: value for key, value in example(kind).items() if key not in (name, "kind")})
    with pytest.raises(ValidationError, match="colour\n  Extra inputs"):
        stated(kind, colour="blue")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_names_something_of_the_study_is_marked_and_described(kind: str) -> None:
    cls = ESTIMANDS[kind]
    own = set(cls.model_fields) - COMMON - set(NUMBERS)
    assert own <= set(references(cls)), "an unmarked field is not checked against the study"
    assert all(field.description for field in cls.model_fields.values())
    assert (cls.__doc__ or "").startswith(f"{kind}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_an_arm_has_one_finite_estimate_with_its_interval(kind: str, measures: xr.Dataset) -> None:
    cls = ESTIMANDS[kind]
    (found,) = estimates(measures, [stated(kind)])
    assert found.replicates == 6 and found.arm.items() <= ARM.items()
    method = {"simultaneous": "simultaneous t"}.get(cls.interval, cls.interval)
    assert found.method == method and (np.isfinite(found.value) or found.reason)
    if cls.tested and np.isfinite(found.value):
        assert found.low <= found.value <= found.high
    if cls.interval == "inverse t":
        assert found.low <= found.high and (np.isnan(found.value) or found.low <= found.value <= found.high)
        assert found.verdict in (REACHED, NOT_REACHED)
    assert found.role == "exploratory" and np.isnan([found.zone_low, found.zone_high]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_margin_with_its_reason_and_a_zone_or_neither_role(kind: str, measures: xr.Dataset) -> None:
    cls = ESTIMANDS[kind]
    assert cls.default_margin is None or cls.margin_reason
    for role in ("primary", "secondary"):
        if not cls.tested:
            with pytest.raises(ValidationError, match=f"has no verdict, so it cannot be {role}"):
                stated(kind, **{role: True})
            continue
        margin = {} if cls.default_margin else {"margin": 0.1}
        (found,) = estimates(measures, [stated(kind, **{role: True}, **margin)])
        assert found.role == role and found.margin == (cls.default_margin or 0.1)
        assert (found.zone_low, found.zone_high) == pytest.approx((found.low, found.high), nan_ok=True)
        assert found.verdict == (zone(found.zone_low, found.zone_high, found.margin) or NOT_RESOLVED)


@pytest.mark.parametrize("kind", KINDS)
def test_replicates_are_exchangeable(kind: str, measures: xr.Dataset) -> None:
    turned_around = measures.isel(replicate=[3, 1, 5, 0, 4, 2])
    (there,), (turned,) = (estimates(m, [stated(kind)]) for m in (measures, turned_around))
    np.testing.assert_allclose([turned.value, turned.low, turned.high], [there.value, there.low, there.high], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_what_shifts_every_arm_and_subgroup_of_a_replicate_cancels(kind: str, measures: xr.Dataset) -> None:
    shift = xr.DataArray(np.linspace(-1.0, 1.0, 6), dims="replicate")
    moved = measures.assign(z=(measures["z"] + shift).transpose(*measures["z"].dims))
    (there,), (shifted,) = (estimates(m, [stated(kind)]) for m in (measures, moved))
    np.testing.assert_allclose(shifted.value, there.value, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_an_arm_that_is_not_in_the_store_is_nan_and_named(kind: str, measures: xr.Dataset) -> None:
    (found,) = estimates(measures.isel(pretraining=[1, 3], labels=[1, 2]), [stated(kind)])
    assert np.isnan([found.value, found.low, found.high]).all() and found.replicates == 0
    assert "not in the store" in found.reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_replicate_that_lacks_an_arm_is_left_out_and_counted(kind: str, measures: xr.Dataset) -> None:
    lacking = measures.copy(deep=True)
    lacking["status"].loc[ARM | {"replicate": 2, "draw": 0}] = 2
    (found,) = estimates(lacking, [stated(kind)])
    assert found.replicates == 5 and found.reason.startswith("1 of 6 replicates left out: 1 diverged")


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_taken_of_any_metric(kind: str, measures: xr.Dataset) -> None:
    for scale in ("brier", "net_benefit", "own_sensitivity"):
        assert scale in SCALES
        (found,) = estimates(measures, [stated(kind, scale=scale, margin=0.05)])
        assert found.scale == scale
        assert found.replicates == 6


@pytest.mark.parametrize("kind", KINDS)
def test_free_factors_give_one_estimate_a_level_and_none_of_an_arm_with_itself(kind: str, measures: xr.Dataset) -> None:
    one = stated(kind, at={})
    found = estimates(measures, [one])
    levels = {name: measures[name].values.tolist() for name in ARM}
    assert found and len({str(each.arm) for each in found}) == len(found)
    assert not any(one.is_reference(each.arm, levels) for each in found)
    free = one.free(list(ARM))
    combinations = np.prod([len(levels[name]) for name in free])
    assert 0 < len(found) <= combinations and all(tuple(each.arm) == free for each in found)


@pytest.mark.parametrize(
    "kind", [kind for kind in ESTIMANDS if ESTIMANDS[kind].interval == "t" and kind != "difference"]
)
def test_the_same_contrast_at_another_arm_can_be_subtracted(kind: str, measures: xr.Dataset) -> None:
    if kind == "difference":
        return  # it is nothing without
    over = {name for name in ESTIMANDS[kind].runs_over if name == "protocol"}
    elsewhere = {"labels": 200} if over else {"protocol": "linear_probe"}
    (here,), (there,), (both,) = (
        estimates(measures, [one])
        for one in (stated(kind), stated(kind, at=example(kind)["at"] | elsewhere), stated(kind, minus=elsewhere))
    )
    np.testing.assert_allclose(both.value, here.value - there.value, rtol=1e-9)
    assert both.arm == here.arm and stated(kind, minus=elsewhere).expected == 0
    with pytest.raises(ValidationError, match="the difference from itself is 0 by definition"):
        stated(kind, at=example(kind)["at"] | elsewhere, minus=elsewhere)


@pytest.mark.parametrize("kind", [kind for kind in ESTIMANDS if ESTIMANDS[kind].interval != "t"])
def test_nothing_can_be_subtracted_from_what_is_no_mean(kind: str) -> None:
    with pytest.raises(ValidationError, match="nothing can be subtracted from it"):
        stated(kind, minus={"protocol": "linear_probe"})
