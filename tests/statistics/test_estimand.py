"""What a study may ask, and what it is told when it asks for something else."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

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
    return Estimand.model_validate_json(json.dumps(table))


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
        ({"factor": None}, "needs factor"),
        ({"skewed": None}, "needs skewed"),
        ({"reference": "50/50"}, "takes no reference"),
        ({"budget": "labels"}, "takes no budget"),
        ({"kind": "gap"}, "takes no factor"),
        ({"kind": "excess_gap", "skewed": None}, "needs reference"),
        ({"kind": "retention"}, "needs denominator"),
        ({"kind": "halving_budget"}, "needs budget"),
        ({"kind": "halving_budget", "budget": "labels", "primary": True}, "cannot be primary"),
        ({"kind": "halving_budget", "budget": "labels", "at": {"labels": 50}}, "must not fix labels"),
        ({"at": {"pretraining": "all light"}}, "must not fix pretraining"),
        ({"subgroups": ["light", "light"]}, "two different subgroups"),
        ({"subgroups": ["light"]}, "subgroups"),
        ({"skewed": ["all light", "all light"]}, "two different levels"),
        ({"margin": 0.0}, "greater than 0"),
        ({"margin": "0.1"}, "valid number"),
        ({"kind": "odds"}, "excess_gap"),
        ({"colour": "blue"}, "Extra inputs"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(changes, told) -> None:
    with pytest.raises(ValidationError, match=told):
        read(**changes)


def test_an_excess_gap_of_the_reference_is_refused() -> None:
    excess = {"kind": "excess_gap", "skewed": None, "reference": "50/50"}
    with pytest.raises(ValidationError, match="0 or 1 by definition"):
        read(**excess, at={"pretraining": "50/50"})
    assert read(**excess, at={"pretraining": "all dark"}).free(["pretraining", "labels"]) == ("labels",)
    assert read(**excess).free(["pretraining", "labels"]) == ("pretraining", "labels")
    assert read(**excess).expected == 0


def test_every_field_is_described_in_the_schema() -> None:
    properties = Estimand.model_json_schema()["properties"]
    assert all(field.get("description") for field in properties.values())
