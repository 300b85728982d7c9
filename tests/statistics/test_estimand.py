"""What a study may ask, and what it is told when it asks for something else."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from biasprop.estimands import ESTIMANDS
from biasprop.statistics.estimand import Estimand

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
    assert estimand.margin == 0.10
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
        ({"kind": "halving_budget", "budget": "labels", "at": {"labels": 50}}, "must not fix labels"),
        ({"at": {"pretraining": "all light"}}, "must not fix pretraining"),
        ({"subgroups": ["light", "light"]}, "two different subgroups"),
        ({"subgroups": ["light"]}, "subgroups"),
        ({"skewed": ["all light", "all light"]}, "two different levels"),
        ({"margin": 0.0}, "greater than 0"),
        ({"margin": "0.1"}, "valid number"),
        ({"scale": "brier"}, "a margin on the scale brier has to be given"),
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
