"""What is stated of a model, by its vendor or by others: the schema of ``facts.toml``, and reading it.

Fields that the CHAI Applied Model Card (v0.2) has as well are named as there, in lower case with underscores. All are
optional; what is left out is *not stated*.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from biasprop import terminal
from biasprop.component import Definition, InputError
from biasprop.study.checks.fields import validate_fields
from biasprop.study.location import Location, dotted
from biasprop.study.source import Source, parse, read_text

KIND = "facts file"
"""What messages call such a file."""

MAX_EXCESS = 0.005
"""By how much shares may add up to more than 1, because they are rounded."""


def _as_fact(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict | Fact):
        raise ValueError('has to be text in quotes, or a table such as { text = "...", stated_by = "..." }')
    return value


def _at_most_one(shares: dict[str, float]) -> dict[str, float]:
    if (total := sum(shares.values())) > 1.0 + MAX_EXCESS:
        raise ValueError(f"shares add up to {total:g}; they may add up to 1 at most")
    return shares


Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Shares = Annotated[
    dict[Name, Annotated[float, Field(ge=0.0, le=1.0)]],
    Field(min_length=1, max_length=100),
    AfterValidator(_at_most_one),
]


class Fact(Definition):
    """Something that is stated."""

    text: Text
    """What is stated."""
    stated_by: Text | None = None
    """Who states it; by default the ``stated_by`` of the file."""


Stated = Annotated[Fact, BeforeValidator(_as_fact)] | None
"""A fact, also as bare text."""


class Model(Definition):
    """Which model it is."""

    model_name: Stated = None
    """Its name."""
    model_developer: Stated = None
    """Who has made it."""
    release_version: Stated = None
    """Which version."""
    release_date: Stated = None
    """When it was released, as text."""
    model_type: Stated = None
    """What kind of model it is."""
    modality: Stated = None
    """What it reads, such as "dermoscopy" or "chest radiographs"; studies of this package are found by it."""
    outcomes_and_outputs: Stated = None
    """What it predicts."""


class Scope(Definition):
    """What it is meant for."""

    intended_use_and_workflow: Stated = None
    """Intended use, and where in the workflow."""
    primary_intended_users: Stated = None
    """Who uses it."""
    targeted_patient_population: Stated = None
    """For which patients."""
    cautioned_out_of_scope_settings: Stated = None
    """Where it is not to be used."""
    known_risks_and_limitations: Stated = None
    """Known risks and limitations."""
    known_biases_or_ethical_considerations: Stated = None
    """Known biases."""


class Data(Definition):
    """Whose data went into one stage."""

    stated_by: Text | None = None
    """Who states the numbers of this table; by default the ``stated_by`` of the file."""
    people: Annotated[int, Field(ge=0, le=10**12)] | None = None
    """How many people."""
    shares: Annotated[dict[Name, Shares], Field(max_length=50)] = Field(default_factory=dict)
    """Attribute -> group -> share of the people, 0 to 1. Shares may add up to less than 1: the rest is not stated."""
    input_data_source: Stated = None
    """Where the data are from."""
    development_data_characterization: Stated = None
    """Who the people are, in words; how groups were defined and recorded."""


class Pretraining(Data):
    """Whose data the foundation model was pretrained on."""

    foundation_models: Stated = None
    """Which foundation models it is built on."""


class FineTuning(Data):
    """Whose data the model was fine-tuned on."""

    labels: Annotated[int, Field(ge=0, le=10**12)] | None = None
    """How many labels."""


class Validation(Definition):
    """How it was validated in subgroups (KeyMetrics.FairnessEquity)."""

    metric_goal: Stated = None
    """What was to be shown."""
    results: Stated = None
    """What was found."""
    interpretation: Stated = None
    """What it means."""
    test_type: Stated = None
    """What kind of test it was."""
    testing_data_description: Stated = None
    """On whose data."""
    validation_process_and_justification: Stated = None
    """How, and why so."""
    bias_mitigation_approaches: Stated = None
    """What was done about differences."""


class Labels(Definition):
    """How many labels it needs where it is adopted."""

    labels_needed: Stated = None
    """Labels that are needed to adapt the model to another place; no standard has such a field."""


STAGES = ("pretraining", "finetuning")
"""Stages whose data are stated."""


class Facts(Definition):
    """What is stated of a model."""

    stated_by: Text
    """Who states it, such as "Example Ltd, model card of 2026-01-31"."""
    model: Model = Model()
    """Which model it is."""
    scope: Scope = Scope()
    """What it is meant for."""
    pretraining: Pretraining = Pretraining()
    """Whose data the foundation model was pretrained on."""
    finetuning: FineTuning = FineTuning()
    """Whose data the model was fine-tuned on."""
    validation: Validation = Validation()
    """How it was validated in subgroups."""
    labels: Labels = Labels()
    """How many labels it needs."""

    _source: Source | None = PrivateAttr(default=None)
    """The file, if they were read from one."""

    def place(self, location: Location) -> str:
        """Start of a message about a key: ``facts.toml:12: pretraining.shares.sex``."""
        source = self._source
        where = "" if source is None else f"{source.name}:{source.line(location)}: "
        return terminal.printable(f"{where}{dotted(location)}")

    def by(self, stated: Definition, name: str) -> str:
        """Return who states a field; empty if it is not stated.

        Args:
            stated: the table that has it.
            name: of the field.
        """
        value = getattr(stated, name)
        if value is None or value == {}:
            return ""
        own = value.stated_by if isinstance(value, Fact) else getattr(stated, "stated_by", None)
        return own or self.stated_by


NOTHING = Facts(stated_by="not stated")
"""What is stated where there is no file."""


def read_facts(file: Path) -> Facts:
    """Read a facts file.

    Args:
        file: TOML.

    Raises:
        InputError: it cannot be read, or is not of the schema; names every line and key.
    """
    source = parse(read_text(file, KIND), str(file), KIND)
    facts, problems = validate_fields(Facts, source.table)
    if facts is None:
        lines = sorted((source.line(problem.location), dotted(problem.location), problem.what) for problem in problems)
        raise InputError([terminal.printable(f"{file}:{line}: {key}: {what}") for line, key, what in lines])
    facts._source = source
    return facts
