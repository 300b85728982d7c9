"""Facts: what is stated keeps who states it, what is not is not stated, and a mistake is named with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from biasprop.card.answers import chai_name
from biasprop.card.facts import Fact, Facts, read_facts
from biasprop.card.standards import STANDARDS
from biasprop.component import InputError
from tests.source_tree import ROOT

VALID = """
stated_by = "Example Ltd"
[model]
model_name = "Reader"
modality = "dermoscopy"
[scope]
targeted_patient_population = { text = "adults", stated_by = "Regulator" }
[pretraining]
stated_by = "Paper"
people = 1000
shares.sex = { F = 0.4, M = 0.5 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts.toml"


def test_each_fact_has_who_states_it(file: Path) -> None:
    file.write_text(VALID)
    facts = read_facts(file)
    assert facts.by(facts.model, "model_name") == "Example Ltd"
    assert facts.by(facts.scope, "targeted_patient_population") == "Regulator"
    assert facts.by(facts.pretraining, "shares") == facts.by(facts.pretraining, "people") == "Paper"
    assert facts.by(facts.scope, "intended_use_and_workflow") == facts.by(facts.finetuning, "shares") == ""
    assert facts.scope.targeted_patient_population == Fact(text="adults", stated_by="Regulator")


USE = "scope.intended_use_and_workflow"
WRONG = {
    'targeted_patient_population = "a"\n[scop]\nx = 1': ":4: scop: there is no such key here; .*did you mean scope?",
    '[scope]\nintended_use = "x"': ":3: scope.intended_use: there is .*; did you mean intended_use_and_workflow",
    '[scope]\nintened_use = "x"': ":3: scope.intened_use: there is .*; did you mean intended_use_and_workflow",
    '[scope]\nmodality = "x"': r":3: scope.modality: there is no such key here; .*; did you mean model\.modality\?",
    '[scope]\nlabels_ne = "x"': r":3: scope.labels_ne: there is no such key.*; did you mean labels\.labels_needed\?",
    'intended_use = "x"': r":2: intended_use: there is .*; did you mean scope\.intended_use_and_workflow\?",
    '[pretraining.development_data_characterization]\ntxt = "x"': r":3: .*\.txt: there is .*; did you mean text\?",
    "[scope]\nintended_use_and_workflow = 3": f":3: {USE}: has to be text in quotes, or a table",
    '[scope]\nintended_use_and_workflow = { txt = "x" }': f":3: {USE}.txt: there is no such key",
    "[scope]\nintended_use_and_workflow = { text = 3 }": f":3: {USE}.text: is 3; .*text in quotes",
    '[model]\nmodel_name = ""': ":3: model.model_name.text: is ''; has to be of length at least 1",
    "[model]\nrelease_date = 2026-01-31": ":3: model.release_date: has to be text in quotes",
    "[pretraining]\npeople = -1": ":3: pretraining.people: is -1; has to be at least 0",
    '[pretraining]\npeople = "many"': ":3: pretraining.people: is 'many'; has to be a whole number",
    "[pretraining]\nshares.sex = { F = 0.8, M = 0.5 }": ":3: pretraining.shares.sex: shares add up to 1.3",
    "[pretraining]\nshares.sex = { F = 1.8 }": ":3: pretraining.shares.sex.F: is 1.8; has to be at most 1",
    "[pretraining]\nshares.sex = { F = nan }": ":3: pretraining.shares.sex.F: .*finite",
    "[pretraining]\nshares = 3": ":3: pretraining.shares: is 3; has to be a table",
    "[pretraining": ":2: this is not TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_named_with_its_line(text: str, file: Path) -> None:
    first = 'stated_by = "A"\n' if not text.startswith("targeted") else 'stated_by = "A"\n[scope]\n'
    file.write_text(first + text)
    with pytest.raises(InputError, match=f"facts.toml{WRONG[text]}"):
        read_facts(file)


def test_who_states_the_file_has_to_be_stated(file: Path) -> None:
    file.write_text('[model]\nmodel_name = "x"')
    with pytest.raises(InputError, match="stated_by: is missing"):
        read_facts(file)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe", "a facts file is UTF-8 text"), (b"x" * 1_000_001, "too large for a facts file")],
)
def test_what_is_no_text_is_refused(content: bytes, says: str, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_facts(file)


def test_every_field_is_mapped_to_standards_and_named_as_chai_names_it() -> None:
    fields = {
        f"{table}.{name}"
        for table, field in Facts.model_fields.items()
        if table != "stated_by"
        for name in field.get_default().__class__.model_fields
        if name != "stated_by"
    }
    assert fields == {name for name in STANDARDS if not name.startswith("measured.")}
    assert chai_name("scope", "cautioned_out_of_scope_settings") == "CautionedOutOfScopeSettings"
    assert chai_name("validation", "metric_goal") == "MetricGoal"
    assert chai_name("model", "modality") == "modality" and chai_name("labels", "labels_needed") == "labels_needed"


def test_the_example_of_the_readme_is_valid_and_names_every_field(file: Path) -> None:
    readme = (ROOT / "biasprop" / "card" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.+?)```", readme, re.DOTALL)
    file.write_text(example, encoding="utf-8")
    facts = read_facts(file)
    assert facts.by(facts.pretraining, "people") == "paper of the foundation model"
    fields = {name.partition(".")[2] for name in STANDARDS if not name.startswith("measured.")}
    assert fields <= set(re.findall(r"\w+", example))
