"""What is wrong with own files is reported at the key of the study file that leads to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biasprop.component import Definition
from biasprop.generators.own_images import OwnImages
from biasprop.study.checks.fields import validate_fields
from biasprop.study.location import dotted
from tests.datasets.small_tables import made, rows


class Holder(Definition):
    generator: OwnImages


def located(**changes: Any) -> dict[str, str]:
    """Key -> what is wrong, of a generator by itself."""
    subgroups = {"small": {"values": ["female"]}, "large": {"values": ["male"]}}
    keys = {"file": "name", "target": "sick", "attributes": ["sex"], "subgroups": subgroups, "person": "person"}
    _, found = validate_fields(Holder, {"generator": keys | {"split": "split", "size": 8} | changes})
    assert len({problem.location for problem in found}) == len(found)
    return {dotted(problem.location): problem.what for problem in found}


def test_each_problem_is_located_at_the_key_that_leads_to_it(tmp_path: Path) -> None:
    table = f"{made(tmp_path, rows())}/people.csv"
    assert set(located(table="/nowhere.csv")) == {"generator.table"}
    assert set(located(table=table, images="/nowhere")) == {"generator.images"}
    assert set(located(table=table, embeddings="/nowhere.npz")) == {"generator.embeddings"}
    assert set(located(table=table, file="nam", target="sik")) == {"generator.file", "generator.target"}
    assert set(located(table=table, person_pattern="(")) == {"generator.person_pattern"}
    assert set(located(table=table, parts={"evaluation": ["train"]})) == {"generator.parts"}
    values = {"small": {"values": ["femal"]}, "large": {"values": ["male"]}}
    assert set(located(table=table, subgroups=values)) == {"generator.subgroups.small.values"}
    assert set(located(table=table, digest="1234", percentages=[60, 20, 30])) == {"generator.percentages"}
    assert set(located(table=table, digest="1234")) == {"generator.digest"}
