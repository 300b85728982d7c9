"""Fully specified conditions: what is pretrained on whom, what is fine-tuned on whom, and how both are judged."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from biasprop.component import Component, Definition, OneOf, Traced
from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS, SOURCES
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.nn.optimisation import Schedule
from biasprop.nn.views import Augmentation
from biasprop.objectives import OBJECTIVES
from biasprop.population.shifts import Shifts, no_shifts
from biasprop.protocols import PROTOCOLS

Share = Annotated[float, Field(ge=0, le=1)]
Prevalence = Annotated[float, Field(gt=0, lt=1)]


def _sum_to_one(shares: dict[str, float]) -> dict[str, float]:
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares must sum to 1; these sum to {sum(shares.values()):g}")
    return shares


def _none(mitigation: Any) -> bool:
    """Whether nothing is mitigated. A dump leaves it out then, so that no digest depends on it."""
    return mitigation.kind == "none"


class Pretraining(Component):
    """The unlabelled stage: a finite virtual cohort, its demographics and the objective."""

    source: Annotated[Any, OneOf(SOURCES)] = Field(
        default_factory=lambda: SOURCES["cohort"](), exclude_if=lambda source: source.shows_subjects
    )
    """Whose images are seen: the cohort's, or others that show no subject, for which shares and prevalence mean
    nothing."""
    cohort: Annotated[int, Traced(), Field(ge=16, le=100_000_000)] = 20_000
    """Number of distinct subjects, the same for every mix; each is re-rendered from its key whenever it is drawn."""
    shares: dict[str, Share]
    """P(subgroup) in the cohort; sums to 1."""
    prevalence: Prevalence = 0.5
    """P(disease | subgroup) in the cohort, equal in all subgroups unless a shift moves it."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> what else befalls its members of the cohort; nobody reads its labels."""
    objective: Annotated[Any, OneOf(OBJECTIVES)] = Field(default_factory=lambda: OBJECTIVES["contrastive"]())
    """What is minimised."""
    schedule: Schedule = Schedule()
    """How long, in which batches and at which rate."""
    mitigation: Annotated[Any, OneOf(PRETRAINING_MITIGATIONS)] = Field(
        default_factory=lambda: PRETRAINING_MITIGATIONS["none"](), exclude_if=_none
    )
    """What makes up for a skew of the cohort, with the subgroups known but no labels."""

    shares_sum_to_one = field_validator("shares")(_sum_to_one)

    @property
    def sees_subjects(self) -> bool:
        """Whether there is a mix to speak of."""
        return self.objective.trains and self.source.shows_subjects

    def in_domain(self) -> Pretraining:
        """The same on the cohort's own images."""
        return self.model_copy(update={"source": SOURCES["cohort"]()})


def _off(switch: bool | int) -> bool:
    """Whether a switch is off, or nobody asked for. A dump leaves it out then, so that no digest depends on it."""
    return not switch


class Finetuning(Component):
    """The labelled stage: how many labels, from whom, adapted how."""

    labels: Annotated[int, Traced(), Field(ge=4, le=1_000_000)] = 1_000
    """Label budget: number of labelled subjects, in exact counts per subgroup and label."""
    shares: dict[str, Share]
    """P(subgroup) among the labelled subjects; sums to 1."""
    skew_matched: bool = Field(default=False, exclude_if=_off)
    """Label subjects in the shares of the pretraining cohort instead, whatever they are: the reference of a stage that
    repeats the skew."""
    prevalence: Prevalence = 0.5
    """P(disease | subgroup) among the labelled subjects, equal in all subgroups unless a shift moves it."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> what else befalls its labelled members (and those who select)."""
    protocol: Annotated[Any, OneOf(PROTOCOLS)] = Field(default_factory=lambda: PROTOCOLS["linear_probe"]())
    """What is adapted and how."""
    mitigation: Annotated[Any, OneOf(MITIGATIONS)] = Field(
        default_factory=lambda: MITIGATIONS["none"](), exclude_if=_none
    )
    """What makes up for a skew, with subgroups and labels known."""

    shares_sum_to_one = field_validator("shares")(_sum_to_one)


class Evaluation(Component):
    """Who judges: sizes of the sets that select, calibrate and test."""

    test: Annotated[int, Field(ge=20, le=1_000_000)] = 2_000
    """Test subjects a replicate; each is rendered once in every subgroup (twins), half of them with disease."""
    selection: Annotated[int, Field(ge=4, le=1_000)] = 1_000
    """Most subjects that regularisation and stopping may see; never more than the label budget."""
    calibration: Annotated[int, Field(ge=20, le=1_000_000)] = 1_000
    """Subjects that set the operating threshold and judge calibration, apart from all others."""
    pretext: Annotated[int, Field(ge=0, le=1_000_000)] = Field(default=0, exclude_if=_off)
    """Subjects, as many of each subgroup, on whom each subgroup's own pretext loss is read after pretraining; 0: it is
    not. Nobody else ever sees them."""
    target_specificity: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Specificity at which the common operating threshold is set on the calibration subjects."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> what else befalls its members who calibrate and test; wrong records only count against the test."""

    def evaluated_images(self, subgroups: int) -> int:
        """Images of everyone who calibrates and tests; a test subject is imaged once in every subgroup."""
        return self.calibration + self.test * subgroups

    def images(self, subgroups: int) -> int:
        """Images of everyone who selects, calibrates and tests."""
        return self.selection + self.evaluated_images(subgroups)


class PretrainingCondition(Component):
    """Everything an encoder depends on, apart from its replicate."""

    generator: Annotated[Any, OneOf(GENERATORS)]
    """Who is imaged, and how."""
    encoder: Annotated[Any, OneOf(ENCODERS)]
    """What learns."""
    pretraining: Pretraining
    """From whom, and by which objective."""


class FinetuningCondition(Component):
    """Everything an arm depends on beyond its encoder."""

    finetuning: Finetuning
    """Labels and protocol."""
    evaluation: Evaluation
    """Who judges."""


class Conditions(Definition):
    """The part of a study that makes one condition, all of which but the sizes of the evaluation levels can set."""

    generator: Annotated[Any, OneOf(GENERATORS)]
    """Who is imaged, and how."""
    encoder: Annotated[Any, OneOf(ENCODERS)]
    """What learns."""
    pretraining: Pretraining
    """From whom the encoder learns, and by which objective."""
    finetuning: Finetuning
    """Label budget, its demographics, and the protocol."""
    evaluation: Evaluation = Evaluation()
    """Sizes of the sets that select, calibrate and test."""

    def pretraining_condition(self) -> PretrainingCondition:
        """What an encoder depends on."""
        pretraining = self._with_prescribed_views(self.pretraining)
        return PretrainingCondition(generator=self.generator, encoder=self.encoder, pretraining=pretraining)

    def finetuning_condition(self) -> FinetuningCondition:
        """What an arm depends on beyond its encoder."""
        finetuning = self.finetuning
        if finetuning.skew_matched:
            update = {"shares": self.pretraining.shares, "skew_matched": False}
            finetuning = finetuning.model_copy(update=update)
        return FinetuningCondition(finetuning=self._with_prescribed_views(finetuning), evaluation=self.evaluation)

    def _with_prescribed_views(self, stage: Any) -> Any:
        """A stage with the augmentation that the generator's difficulty prescribes, if it prescribes one."""
        prescribed = dict(self.generator.difficulty.views)
        return _with_views(stage, prescribed) if prescribed else stage


def _with_views(part: Any, prescribed: dict[str, float]) -> Any:
    """A definition in which every augmentation has the prescribed values."""
    if isinstance(part, Augmentation):
        return part.model_copy(update=prescribed)
    if not isinstance(part, Definition):
        return part
    return part.model_copy(
        update={name: _with_views(getattr(part, name), prescribed) for name in type(part).model_fields}
    )
