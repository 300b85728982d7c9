"""What a study may ask, and what it is told when it asks for something else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import ndtri

from biasprop.estimands import ESTIMANDS
from biasprop.metrics import auc_of_z, sensitivity_loss
from biasprop.statistics.estimand import AUC_PER_Z, MARGIN, Estimand

SWAP = {
    "name": "swap",
    "kind": "swap_contrast",
    "subgroups": ["light", "dark"],
    "factor": "pretraining",
    "skewed": ["all light", "all dark"],
}


def read(**changes: object) -> Estimand:
    table = {name: value for name, value in (SWAP | changes).items() if value is not None}
    return ESTIMANDS[str(table["kind"])].model_validate_json(json.dumps(table))


def test_the_example_reads() -> None:
    estimand = read(at={"labels": 200, "protocol": "full"}, primary=True)
    assert estimand.skewed == ("all light", "all dark")
    assert estimand.scale == "z"
    assert estimand.margin is None and estimand.margin_used == 0.05 and estimand.role == "primary"
    assert estimand.free(["pretraining", "labels", "protocol"]) == ()
    assert estimand.expected == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"factor": None}, "factor\n  Field required"),
        ({"skewed": None}, "skewed\n  Field required"),
        ({"reference": "50/50"}, "reference\n  Extra inputs"),
        ({"budget": "labels"}, "budget\n  Extra inputs"),
        ({"kind": "gap"}, "factor\n  Extra inputs"),
        ({"kind": "excess_gap", "skewed": None}, "reference\n  Field required"),
        ({"kind": "retention"}, "denominator\n  Field required"),
        ({"kind": "halving_budget"}, "budget\n  Field required"),
        ({"kind": "halving_budget", "budget": "labels", "primary": True}, "cannot be primary"),
        ({"kind": "halving_budget", "budget": "labels", "secondary": True}, "cannot be secondary"),
        ({"kind": "retention", "denominator": {"labels": 50}, "primary": True}, "a retention has no verdict"),
        ({"primary": True, "secondary": True}, "primary and secondary at once"),
        ({"kind": "halving_budget", "budget": "labels", "at": {"labels": 50}}, "must not fix labels"),
        ({"at": {"pretraining": "all light"}}, "must not fix pretraining"),
        ({"subgroups": ["light", "light"]}, "two different subgroups"),
        ({"subgroups": ["light"]}, "subgroups"),
        ({"skewed": ["all light", "all light"]}, "two different levels"),
        ({"margin": 0.0}, "greater than 0"),
        ({"margin": "0.1"}, "valid number"),
        ({"scale": "brier", "primary": True}, "a primary estimand needs a margin, and the scale brier has no default"),
        ({"scale": "brier", "secondary": True}, "a secondary estimand needs a margin"),
        ({"scale": "n"}, "scale\n  Input should be"),
        ({"colour": "blue"}, "Extra inputs"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(changes, told) -> None:
    with pytest.raises(ValidationError, match=told):
        read(**changes)


def test_an_excess_gap_of_the_reference_is_refused() -> None:
    excess = {"kind": "excess_gap", "skewed": None, "reference": "50/50"}
    with pytest.raises(ValidationError, match="0 by definition"):
        read(**excess, at={"pretraining": "50/50"})
    assert read(**excess, at={"pretraining": "all dark"}).free(["pretraining", "labels"]) == ("labels",)
    assert read(**excess).free(["pretraining", "labels"]) == ("pretraining", "labels")
    assert read(**excess).expected == 0


def test_the_expected_sign_follows_the_direction_of_the_scale() -> None:
    assert read(scale="brier", margin=0.01).expected == -1
    assert read(scale="sensitivity", margin=0.05).expected == 1
    assert read(scale="calibration_slope", margin=0.05).expected == 0
    assert read(scale="brier", margin=0.01, sign="positive").expected == 1


def test_a_margin_left_out_is_that_of_the_kind_in_its_own_unit() -> None:
    assert [read(scale=scale).margin_used for scale in ("z", "auc", "brier")] == [0.05, pytest.approx(0.008), None]
    gap = {"kind": "gap", "factor": None, "skewed": None}
    assert [read(**gap, scale=scale).margin_used for scale in ("z", "auc")] == [0.10, pytest.approx(0.016)]
    assert read(**gap, margin=0.2).margin_used == 0.2
    retention = {"kind": "retention", "denominator": {"labels": 50}}
    assert read(**retention).margin_used == read(**retention, scale="brier").margin_used == 0.10


def test_a_contrast_of_gaps_is_as_large_as_its_reason_says() -> None:
    """.10 on a gap is .05 on half a difference of gaps; at AUC .85 it is .016 AUC and four people in a hundred."""
    assert ESTIMANDS["gap"].default_margin == MARGIN == 2 * (ESTIMANDS["swap_contrast"].default_margin or 0)
    z = np.sqrt(2) * ndtri(0.85)
    assert auc_of_z(z + MARGIN / 2) - auc_of_z(z - MARGIN / 2) == pytest.approx(AUC_PER_Z * MARGIN, abs=1e-3)
    assert sensitivity_loss(z, MARGIN, 0.9) == pytest.approx(0.04, abs=2e-3)
    assert sensitivity_loss(z, -MARGIN, 0.9) < 0 and sensitivity_loss(z, 0.0, 0.9) == 0
