"""Groups of subgroups: measured as one subgroup, contrasted by name; twins that differ in one attribute."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from biasprop.estimands import estimand
from biasprop.metrics import auc, flip_rate, score_shift
from biasprop.statistics.estimate import estimates
from biasprop.statistics.groups import composition
from biasprop.statistics.levels import levels, reference_level
from biasprop.statistics.measures import measure
from tests.synthetic import synthetic_cube

SUBGROUPS = ["light_north", "light_south", "dark_north", "dark_south"]
POPULATION = {
    "attributes": ["tone", "site"],
    "subgroups": [[name, name.split("_")] for name in SUBGROUPS],
    "groups": [
        ["light", SUBGROUPS[:2]],
        ["dark", SUBGROUPS[2:]],
        ["north", SUBGROUPS[::2]],
        ["south", SUBGROUPS[1::2]],
    ],
}
GROUPS = ["light", "dark", "north", "south"]
ARM = {"pretraining": "all light", "labels": 50, "protocol": "linear_probe"}


def cubes() -> tuple[xr.Dataset, xr.Dataset]:
    """The same scores without and with groups."""
    plain = synthetic_cube(subgroups=SUBGROUPS, replicates=3, subjects=120, diverged=1)
    equal = xr.full_like(plain["share"], 0.25).where(plain["pretraining"] != "scratch")
    plain = plain.assign_coords(share=equal)
    return plain, plain.assign_attrs(population=json.dumps(POPULATION))


def test_groups_come_after_the_subgroups_whose_measures_stay_as_they_are() -> None:
    plain, grouped = (measure(cube, 0.8) for cube in cubes())
    assert grouped["subgroup"].values.tolist() == SUBGROUPS + GROUPS
    for name, values in plain.data_vars.items():
        same = grouped[name].sel(subgroup=SUBGROUPS) if "subgroup" in values.dims else grouped[name]
        assert same.dims == values.dims
        xr.testing.assert_equal(same.drop_vars("share", errors="ignore"), values.drop_vars("share", errors="ignore"))
    assert grouped["share"].sel(subgroup=GROUPS, pretraining="50/50").values.tolist() == [0.5] * 4


def test_the_auc_of_a_group_is_of_the_twins_of_all_its_subgroups() -> None:
    _, cube = cubes()
    found = measure(cube, 0.8).sel(ARM).isel(replicate=0, draw=0)
    arm = cube.sel(ARM).isel(replicate=0, draw=0)
    for name, inside in POPULATION["groups"]:
        scores = arm["score"].sel(subgroup=inside).values.ravel()
        assert found["auc"].sel(subgroup=name) == auc(scores, np.tile(arm["label"].values, 2))
        assert found["n"].sel(subgroup=name) == 240
        assert np.isnan(found["train_auc"].sel(subgroup=name))


def test_a_group_can_weight_its_subgroups() -> None:
    plain, cube = cubes()
    weights = {"light_north": 3.0, "light_south": 1.0, "dark_north": 0.5, "dark_south": 0.0}
    weighted = plain.assign_attrs(population=json.dumps(POPULATION | {"weights": weights}))
    found, equal = (measure(each, 0.8).sel(ARM).isel(replicate=0, draw=0) for each in (weighted, cube))
    arm = plain.sel(ARM).isel(replicate=0, draw=0)
    for name, inside in POPULATION["groups"]:
        scores, labels = arm["score"].sel(subgroup=inside).values.ravel(), np.tile(arm["label"].values, 2)
        weight = np.repeat([weights[subgroup] for subgroup in inside], 120)
        assert found["auc"].sel(subgroup=name) == auc(scores, labels, weight)
        for rate in ("sensitivity", "ece", "brier"):
            assert found[rate].sel(subgroup=name) != equal[rate].sel(subgroup=name)
    alone = found.sel(subgroup="dark")
    for name in ("auc", "z", "ece", "sensitivity", "net_benefit", "n", "n_positive"):
        only = float(found[name].sel(subgroup="dark_north"))
        assert float(alone[name]) == pytest.approx(only, rel=1e-12), "the other subgroup has weight 0"
    for name in ("auc", "brier"):
        xr.testing.assert_equal(found[name].sel(subgroup=SUBGROUPS), equal[name].sel(subgroup=SUBGROUPS))


def test_labels_of_a_shifted_test_set_stay_with_their_subgroup() -> None:
    _, cube = cubes()
    label = np.tile(cube["label"].isel(pretraining=0, labels=0, protocol=0, replicate=0).values, (4, 1)).astype(float)
    label[1, :40] = -1
    shifted = cube.assign_coords(judged_label=(("subgroup", "subject"), label))
    found = measure(shifted, 0.8).sel(ARM).isel(replicate=0, draw=0)
    assert found["n"].sel(subgroup=["light", "dark", "north", "south"]).values.tolist() == [200, 240, 240, 200]


def test_twin_metrics_of_an_attribute_hold_the_others() -> None:
    _, cube = cubes()
    found = measure(cube, 0.8).sel(ARM).isel(replicate=0, draw=0)
    scores = cube["score"].sel(ARM).isel(replicate=0, draw=0)
    for attribute, strata in {
        "tone": (["light_north", "dark_north"], ["light_south", "dark_south"]),
        "site": (["light_north", "light_south"], ["dark_north", "dark_south"]),
    }.items():
        for name, metric in {"flip_rate": flip_rate, "score_shift": score_shift}.items():
            each = [metric(scores.sel(subgroup=pair).values, found["threshold"].values) for pair in strata]
            assert found[f"{name}_by_attribute"].sel(attribute=attribute) == np.mean(each)


def test_estimands_name_groups_and_an_interaction_is_a_difference_of_gaps() -> None:
    _, cube = cubes()
    measures = measure(cube, 0.8)
    pairs = {
        "north": ("light_north", "dark_north"),
        "south": ("light_south", "dark_south"),
        "tone": ("light", "dark"),
    }
    gaps = [estimand("gap", name=n, subgroups=p, at=ARM, primary=n == "tone") for n, p in pairs.items()]
    between = estimand("interaction", name="interaction", subgroups=pairs["north"], versus=pairs["south"], at=ARM)
    north, south, tone, interaction = estimates(measures, [*gaps, between])
    assert interaction.value == np.float64(north.value - south.value)
    assert interaction.replicates == north.replicates and tone.low < tone.value < tone.high


def test_levels_have_groups_and_the_balanced_level_is_that_of_the_subgroups() -> None:
    _, cube = cubes()
    measures = measure(cube, 0.8)
    assert list(levels(measures)[0].subgroups) == SUBGROUPS + GROUPS
    assert reference_level(measures, []) == ("pretraining", "all light")  # here all mixes are equal
    worst = measures["auc"].sel(subgroup=SUBGROUPS).min("subgroup", skipna=False)
    xr.testing.assert_equal(worst.drop_vars("share", errors="ignore"), measures["worst_auc"])


def test_a_damaged_population_is_no_population() -> None:
    plain, _ = cubes()
    for text in ("{", "[]", '{"groups": []}', '{"attributes": ["a"], "subgroups": [["x", ["y"]]], "groups": []}'):
        assert composition(plain.assign_attrs(population=text)) is None
