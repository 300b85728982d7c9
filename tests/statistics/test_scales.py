"""Scales that are computed from z, where they are defined, and where they disagree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from biasprop.estimands import estimand
from biasprop.metrics import MIN_Z, SCALES, auc_of_z, efficiency, log_z
from biasprop.report.scales import scales_table
from biasprop.report.tables import tables, text
from biasprop.report.tidy_table import tabulated
from biasprop.statistics.difficulty import known
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.statistics.scales import scales_of
from biasprop.statistics.summary import Mean, Summary, summary_of
from tests.synthetic import synthetic_cube

FACTORS = {"mix": ("a", "b", 0.5), "labels": (50, 200)}
GAP: dict[str, Any] = {"subgroups": ("light", "dark"), "at": {"mix": "a", "labels": 50}, "margin": 0.1}
SHARED = np.array([0.1, -0.1, 0.0, 0.0])


def ledger(where: dict[str, list[Any]] | None = None, light: float = 2.0, dark: float = 1.0, **more: Any) -> str:
    """The attribute of a cube whose ideal observer has these z."""
    rows = known("ideal observer", "exact", {"light": float(auc_of_z(light)), "dark": float(auc_of_z(dark))})
    return json.dumps({"entries": [{"key": "k", "where": where or {}} | rows.to_json() | more]})


def measured(light: float, dark: float, attribute: str | None = None) -> xr.Dataset:
    """Measures whose z is given, with a part of the replicate that both subgroups share as a factor."""
    cube = synthetic_cube(FACTORS, replicates=4, draws=1, subjects=40)
    found = measure(cube.assign_attrs(cube.attrs | ({"ledger": attribute} if attribute else {})), 0.8)
    z = xr.DataArray([light, dark], dims="subgroup") * (1 + xr.DataArray(SHARED, dims="replicate")) + 0.0 * found["z"]
    z = z.transpose(*found["z"].dims)
    return found.assign(z=z, auc=z.copy(data=auc_of_z(z.values)))


def one(measures: xr.Dataset, scale: str) -> Any:
    return estimates(measures, [estimand("gap", name="gap", scale=scale, **GAP)])[0]


def test_by_hand() -> None:
    np.testing.assert_allclose(log_z([1.0, np.e, MIN_Z, 0.0, -1.0, np.nan]), [0.0, 1.0] + 4 * [np.nan])
    np.testing.assert_allclose(efficiency([1.0, -1.0, 3.0], [2.0, 2.0, 3.0]), [0.25, -0.25, 1.0])
    assert np.isnan(efficiency([1.0] * 4, [0.0, -1.0, np.nan, np.inf])).all()
    assert scales_of("z") == scales_of("efficiency") == ("z", "auc", "log_z", "efficiency")
    assert scales_of("brier") == ("brier",)
    assert SCALES["log_z"].direction == SCALES["efficiency"].direction == 1


def test_a_ratio_of_z_is_a_difference_of_log_z_without_error() -> None:
    """The part that replicates share is a factor, which cancels on log z and not on z."""
    on_z, on_log = (one(measured(1.2, 0.8), scale) for scale in ("z", "log_z"))
    assert on_z.value == pytest.approx(0.4) and on_z.se > 0.01
    assert on_log.value == pytest.approx(np.log(1.5)) and on_log.se == pytest.approx(0.0, abs=1e-12)


def test_log_z_is_defined_in_all_replicates_or_not_at_all() -> None:
    """One of four replicates is above .3: an estimate from it alone would keep the largest value."""
    found = one(measured(1.2, MIN_Z), "log_z")
    assert np.isnan([found.value, found.low, found.high]).all() and found.replicates == 0
    assert "log z(AUC) is not defined: z is at most 0.3 in 3 of 4 replicates" in found.reason
    above = one(measured(1.2, MIN_Z / 0.9 + 0.01), "log_z")
    assert np.isfinite(above.value) and above.replicates == 4


def test_a_replicate_that_diverged_is_left_out_as_on_z() -> None:
    measures = measured(1.2, 0.8)
    measures["status"].loc[{"mix": "a", "labels": 50, "replicate": 0}] = 2
    found = one(measures, "log_z")
    assert found.replicates == 3 and found.reason.startswith("1 of 4 replicates left out: 1 diverged")
    assert found.value == pytest.approx(np.log(1.5))


def test_another_arm_may_be_below() -> None:
    measures = measured(1.2, 0.8)
    measures["z"].loc[{"mix": "b"}] = 0.1
    assert np.isfinite(one(measures, "log_z").value)


def test_efficiency_by_hand() -> None:
    """(1.2 / 2)^2 - (.8 / 1)^2, times the mean of the squares of 1.1, .9, 1 and 1."""
    found = one(measured(1.2, 0.8, ledger()), "efficiency")
    assert found.value == pytest.approx((0.36 - 0.64) * (1.21 + 0.81 + 2) / 4)


@pytest.mark.parametrize(
    "attribute",
    [None, "{", "[]", ledger(where={"mix": ["b"]}), ledger(where={"colour": ["a"]}), ledger(note="shifted")],
    ids=["none", "damaged", "a list", "other arms", "another study's", "another test set"],
)
def test_efficiency_needs_an_exact_ideal_observer(attribute: str | None) -> None:
    found = one(measured(1.2, 0.8, attribute), "efficiency")
    assert np.isnan(found.value) and "the AUC of the ideal observer is not known exactly" in found.reason


def test_the_ideal_observer_is_that_of_the_arm() -> None:
    entries = [json.loads(ledger({"mix": [level]}, light=z))["entries"][0] for level, z in (("a", 2.0), (0.5, 3.0))]
    measures = measured(1.2, 0.8, json.dumps({"entries": entries}))
    ideal = measures["ideal_z"].sel(labels=200, subgroup="light")
    np.testing.assert_allclose([ideal.sel(mix=level) for level in ("a", "b", "0.5")], [2.0, np.nan, 3.0])


@pytest.fixture(scope="module")
def disagreeing() -> Summary:
    """The model has the larger z in light skin, and uses less of what there is."""
    stated = [
        estimand("gap", name="gap", primary=True, **GAP),
        estimand("gap", name="brier", scale="brier", secondary=True, **GAP),
        estimand("gap", name="anywhere", subgroups=("light", "dark"), at={"mix": "a"}, secondary=True),
        estimand("gap", name="exploratory", subgroups=("light", "dark"), at={"mix": "a"}),
    ]
    return summary_of(measured(1.2, 0.8, ledger()), stated)


def test_scales_that_disagree_are_named(disagreeing: Summary) -> None:
    first = disagreeing.scales[0]
    assert [row.name for row in disagreeing.scales] == ["gap", "anywhere", "anywhere"], "one scale is not compared"
    assert list(first.scales) == ["z", "auc", "log_z", "efficiency"] and not first.reasons
    assert first.scales["z"].low > 0 > first.scales["efficiency"].high and first.disagree
    estimate = disagreeing.estimates[0]
    assert first.scales["z"][:3] == (estimate.value, estimate.low, estimate.high), "the plain interval"
    written = json.loads(json.dumps(disagreeing.to_json()))["scales"][0]
    assert written["scales"]["efficiency"][0] < 0 and written["disagree"] is True


def test_reports_show_all_scales(disagreeing: Summary) -> None:
    printed = text(tables(disagreeing), 250)
    assert "log z(AUC)" in printed and printed.count("disagree\n") + printed.count("disagree ") >= 3
    rows = tabulated(disagreeing).query("table == 'scale' and name == 'gap'")
    assert rows["scale"].tolist() == ["z", "auc", "log_z", "efficiency"]
    agreeing = summary_of(measured(1.2, 0.8), [estimand("gap", name="gap", primary=True, **GAP)])
    (row,) = agreeing.scales
    assert not row.disagree and list(row.reasons) == ["efficiency"]
    printed = text([scales_table(agreeing.scales)], 250)
    assert "is not known exactly in 4 of 4 replicates" in printed
    assert "disagree" not in cells(printed) and "some" not in cells(printed)
    unclear = replace(row, scales=row.scales | {"auc": Mean(0.1, -0.1, 0.3, 4)})
    assert "some" in cells(text([scales_table([unclear])], 250))


def cells(printed: str) -> list[str]:
    """Words of the table above its caption."""
    return printed.split("signs:")[0].split()


def test_means_over_some_replicates_are_not_levels(disagreeing: Summary) -> None:
    assert not {"log_z_gap", "efficiency_gap"} & set(disagreeing.levels[0].across)
