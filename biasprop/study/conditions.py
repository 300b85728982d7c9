"""One condition of a study: pretraining cohort and objective, labelled set and protocol, and evaluation sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, field_validator

from biasprop.component import Component, Definition, OneOf, Traced, computed, default_member, replace_nested
from biasprop.difficulty import IN_MODES, InMode
from biasprop.encoders import ENCODERS
from biasprop.interfaces import (
    Encoder,
    FineTuningMethod,
    HasSites,
    Loop,
    Mitigation,
    Objective,
    PretrainingMitigation,
    Source,
    Task,
)
from biasprop.loops import LOOPS
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.nn.optimisation import Schedule
from biasprop.nn.views import SYMMETRIES, Augmentation
from biasprop.objectives import OBJECTIVES
from biasprop.population.attributes import Attributes, Population
from biasprop.population.pools import sum_to_one
from biasprop.population.shifts import EvaluationShifts, Shifts, no_shifts, of_subjects
from biasprop.population.sites import sites
from biasprop.protocols import PROTOCOLS
from biasprop.sources import SOURCES
from biasprop.study.location import Location, get_at, set_at
from biasprop.tasks import TASKS

Share = Annotated[float, Field(ge=0, le=1)]
Prevalence = Annotated[float, Field(gt=0, lt=1)]


def _is_none(mitigation: Any) -> bool:
    """Whether there is no mitigation; the field is then not serialised and does not enter the digest."""
    return mitigation.kind == "none"


def _unset() -> Any:
    """A key that a stage may leave out; it is then not serialised."""
    return Field(default=None, validate_default=False, exclude_if=lambda value: value is None)


Size = Annotated[int, Traced(), Field(ge=16, le=100_000_000)]


class Stage(Component):
    """A later stage of pretraining; it starts from the parameters of the stage before it, with new subjects.

    A key that is left out is as in the first stage, ``[pretraining]``.
    """

    source: Annotated[Source, OneOf(SOURCES)] = _unset()
    """Origin of the examples."""
    cohort: Size | None = _unset()
    """Number of distinct examples, which are disjoint from those of the other stages."""
    shares: dict[str, Share] | None = _unset()
    """P(subgroup) in the cohort; sums to 1."""
    prevalence: Prevalence | None = _unset()
    """P(disease | subgroup) in the cohort."""
    shifts: Shifts | None = _unset()
    """Subgroup -> how its members in the cohort differ beyond their share."""
    objective: Annotated[Objective, OneOf(OBJECTIVES)] = _unset()
    """Pretraining loss. The parameters that pretraining discards continue from the stage before if the two objectives
    differ in floats at most, and start from initial ones otherwise."""
    schedule: Schedule | None = _unset()
    """Steps, batch size and learning rate; the optimiser has no memory of the stage before."""
    loop: Annotated[Loop, OneOf(LOOPS)] = _unset()
    """Where the examples are, and how parameters follow from them."""
    mitigation: Annotated[PretrainingMitigation, OneOf(PRETRAINING_MITIGATIONS)] = _unset()
    """Countermeasure against a skew of the cohort."""

    @field_validator("shares")
    @classmethod
    def shares_sum_to_one(cls, shares: dict[str, float] | None) -> dict[str, float] | None:
        """As in the first stage."""
        return None if shares is None else sum_to_one(shares)

    def changes(self) -> dict[str, Any]:
        """The keys that differ from the first stage."""
        values = {name: getattr(self, name) for name in Stage.model_fields}
        return {name: value for name, value in values.items() if value is not None}


class Pretraining(Component):
    """Pretraining without disease labels: a finite simulated cohort, its demographics and the objective."""

    source: Annotated[Source, OneOf(SOURCES)] = Field(
        default_factory=default_member(SOURCES, "cohort"), exclude_if=lambda source: source.in_domain
    )
    """Origin of the images: the cohort, another generator, or images without subjects. Shares and prevalence apply to
    the cohort only."""
    cohort: Size = 20_000
    """Number of distinct subjects; changing only the shares leaves it fixed. A subject always renders to the same
    image. Images are rendered once and cached if the cohort fits in 500 MB, and otherwise re-rendered whenever they
    are drawn into a batch."""
    shares: dict[str, Share]
    """P(subgroup) in the cohort; sums to 1."""
    prevalence: Prevalence = 0.5
    """P(disease | subgroup) in the cohort, equal in all subgroups unless a shift changes it."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members in the cohort differ beyond their share; their disease labels are not used."""
    objective: Annotated[Objective, OneOf(OBJECTIVES)] = Field(
        default_factory=default_member(OBJECTIVES, "contrastive")
    )
    """Pretraining loss."""
    schedule: Schedule = Schedule()
    """Steps, batch size and learning rate."""
    loop: Annotated[Loop, OneOf(LOOPS)] = Field(
        default_factory=default_member(LOOPS, "central"), exclude_if=lambda loop: loop.kind == "central"
    )
    """Where the examples are, and how parameters follow from them."""
    mitigation: Annotated[PretrainingMitigation, OneOf(PRETRAINING_MITIGATIONS)] = Field(
        default_factory=default_member(PRETRAINING_MITIGATIONS, "none"), exclude_if=_is_none
    )
    """Countermeasure against a skew of the cohort; uses subgroups but no disease labels."""
    stages: tuple[Stage, ...] = Field(default=(), max_length=8, exclude_if=lambda stages: not stages)
    """Later stages, in order (``[[pretraining.stages]]``); each starts from the parameters of the stage before."""

    shares_sum_to_one = field_validator("shares")(sum_to_one)

    @property
    def sees_subjects(self) -> bool:
        """Whether the first stage trains on images of the study's subjects, so that their mix matters."""
        return self.objective.trains and self.source.in_domain

    def sequence(self) -> tuple[Pretraining, ...]:
        """Every stage in order, as a pretraining of one stage; empty if there is no pretraining."""
        if not self.objective.trains:
            return ()
        stages: list[Pretraining] = []
        for changes in ({}, *(stage.changes() for stage in self.stages)):
            stage: Pretraining | None = self.model_copy(update={"stages": ()} | changes)
            while stage is not None:
                stages.append(stage)
                stage = stage.mitigation.continuation(stage)
        return tuple(stages)

    def located_stages(self) -> Iterator[tuple[Location, Pretraining]]:
        """The first stage, and each that ``stages`` adds, with its location in a study file."""
        yield ("pretraining",), self
        for index, stage in enumerate(self.stages):
            yield ("pretraining", "stages", index), self.model_copy(update=stage.changes())

    def demographic_stage(self) -> Pretraining | None:
        """The first stage that trains on the study's subjects, so that its shares matter; None if there is none."""
        return next((stage for stage in self.sequence() if stage.sees_subjects), None)

    def in_domain(self) -> Pretraining:
        """A copy whose images come from the cohort."""
        return self.model_copy(update={"source": SOURCES["cohort"]()})


def _is_off(value: bool | int) -> bool:
    """Whether a switch is off or a count is 0; the field is then not serialised and does not enter the digest."""
    return not value


def _is_even(probability: float) -> bool:
    """Whether a probability is one half; the field is then not serialised and does not enter the digest."""
    return probability == 0.5


class Finetuning(Component):
    """Fine-tuning: label budget, demographics of the labelled set, and how the encoder is adapted."""

    labels: Annotated[int, Traced(), Field(ge=4, le=1_000_000)] = 1_000
    """Label budget: number of labelled subjects, those held out for validation included (see ``evaluation.selection``),
    in exact counts per subgroup and label."""
    shares: dict[str, Share]
    """P(subgroup) among the labelled subjects; sums to 1."""
    skew_matched: bool = Field(default=False, exclude_if=_is_off)
    """Use the shares of the pretraining cohort in place of ``shares``: a reference in which the labelled set has the
    same skew as the cohort."""
    prevalence: Prevalence = 0.5
    """P(disease | subgroup) among the labelled subjects, equal in all subgroups unless a shift changes it."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members in the labelled and the validation set differ beyond their share."""
    task: Annotated[Task, OneOf(TASKS)] = Field(
        default_factory=default_member(TASKS, "disease"),
        exclude_if=lambda task: task == default_member(TASKS, "disease")(),
    )
    """What is predicted and how it is judged."""
    protocol: Annotated[FineTuningMethod, OneOf(PROTOCOLS)] = Field(
        default_factory=default_member(PROTOCOLS, "linear_probe")
    )
    """Fine-tuning method: which parameters are fitted to the labels, and how."""
    mitigation: Annotated[Mitigation, OneOf(MITIGATIONS)] = Field(
        default_factory=default_member(MITIGATIONS, "none"), exclude_if=_is_none
    )
    """Countermeasure against a skew; uses subgroups and recorded labels."""

    shares_sum_to_one = field_validator("shares")(sum_to_one)


class Evaluation(Component):
    """Sizes of the validation, calibration and test sets."""

    test: Annotated[int, Field(ge=20, le=1_000_000)] = 2_000
    """Test subjects per replicate; each is rendered once in every subgroup (twins), half of them with disease."""
    selection: Annotated[int, Field(ge=4, le=1_000)] = 1_000
    """Largest size of the validation set, which chooses the regularisation and the stopping step. It is a fifth of the
    label budget of an arm, at least 2 subjects, and part of that budget."""
    calibration: Annotated[int, Field(ge=20, le=1_000_000)] = 1_000
    """Labelled subjects that set the operating threshold and measure calibration, disjoint from all others; they are
    not counted in the label budget."""
    pretext: Annotated[int, Field(ge=0, le=1_000_000)] = Field(default=0, exclude_if=_is_off)
    """Number of held-out subjects, in equal shares of the subgroups and in no other set, for the pretraining loss of
    each subgroup after pretraining; 0: not measured."""
    target_specificity: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Specificity on the calibration set at which the operating threshold, common to all subgroups, is set."""
    threshold_probability: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, exclude_if=_is_even)
    """Predicted probability of disease above which a decision is to treat, for the net benefit: the probability p at
    which treating and not treating are worth the same, so that p / (1 - p) false positives are as bad as one true
    positive is good. Probabilities are those of a test set in which half of the subjects are diseased."""
    shifts: EvaluationShifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members in the calibration and the test set differ; annotation shifts change test labels
    only."""

    def split(self, labels: int) -> tuple[int, int]:
        """Numbers of subjects to train on and to validate on, of a label budget."""
        validation = min(max(labels // 5, 2), self.selection)
        return labels - validation, validation

    def decisions(self) -> dict[str, float]:
        """What decisions are made by: the arguments of ``statistics.measures.measure`` beside the cube."""
        return {"target_specificity": self.target_specificity, "threshold_probability": self.threshold_probability}

    def evaluated_images(self, subgroups: int) -> int:
        """Images of the calibration and the test set; a test subject has one image in every subgroup."""
        return self.calibration + self.test * subgroups

    def of_subjects(self) -> Evaluation:
        """What the subjects and images of the evaluation depend on: everything but the noise of scores."""
        return self.model_copy(update={"shifts": of_subjects(self.shifts)})

    def images(self, subgroups: int) -> int:
        """Images of the validation, calibration and test sets."""
        return self.selection + self.evaluated_images(subgroups)


def _is_absent(value: Any) -> bool:
    """Whether an optional part is left out; the field is then not serialised and does not enter the digest."""
    return value is None


class PretrainingCondition(Component):
    """Everything a pretrained encoder depends on, apart from its replicate."""

    generator: Annotated[InMode, OneOf(IN_MODES)]
    """Subgroups, and how their images are made."""
    encoder: Annotated[Encoder, OneOf(ENCODERS)]
    """The network."""
    pretraining: Pretraining
    """Cohort, objective and schedule."""
    attributes: Attributes | None = Field(default=None, exclude_if=_is_absent)
    """Attributes of the subgroups; None if they have none."""

    def stages(self) -> list[PretrainingCondition]:
        """The condition of every stage of pretraining; empty if there is none."""
        return [self.model_copy(update={"pretraining": stage}) for stage in self.pretraining.sequence()]

    def sites(self) -> dict[str, tuple[int, ...]]:
        """Site -> positions of its subgroups, for the loop of the first stage; empty if it has no sites."""
        loop, source = self.pretraining.loop, self.pretraining.source
        if not isinstance(loop, HasSites):
            return {}
        attributes = self.attributes if source.in_domain else None
        return sites(tuple(source.observed_by(self.generator).subgroups), attributes, loop.sites)


class FinetuningCondition(Component):
    """Everything an arm depends on beyond its encoder."""

    finetuning: Finetuning
    """Labels and protocol."""
    evaluation: Evaluation
    """Sizes of the validation, calibration and test sets."""

    @property
    def train_count(self) -> int:
        """Number of labelled subjects that are trained on; the rest of the label budget is for validation."""
        return self.evaluation.split(int(self.finetuning.labels))[0]


class Conditions(Definition):
    """One complete condition. Levels can set every key except those of ``evaluation`` other than its shifts, and of
    ``population``."""

    population: Population | None = Field(default=None, exclude_if=_is_absent)
    """Attributes of the subgroups, and groups of subgroups."""
    generator: Annotated[InMode, OneOf(IN_MODES)]
    """Subgroups, and how their images are made."""
    encoder: Annotated[Encoder, OneOf(ENCODERS)]
    """The network."""
    pretraining: Pretraining
    """Cohort, objective and schedule."""
    finetuning: Finetuning
    """Label budget, its demographics, and the protocol."""
    evaluation: Evaluation = Evaluation()
    """Sizes of the validation, calibration and test sets."""

    _written: dict[Location, Any] = PrivateAttr(default_factory=dict)
    """Tables by subgroup or group as the study file has them."""

    @property
    def written(self) -> dict[Location, Any]:
        """Tables by subgroup or group as the study file has them, location -> value; the fields above have subgroups
        only. Empty without a population."""
        return self._written

    def computed(self) -> dict[Location, Any]:
        """What was computed and not stated, such as the digest of the files of a table: location -> value."""
        parts = {name: getattr(self, name) for name in Conditions.model_fields}
        found = {name: computed(part) for name, part in parts.items() if part is not None}
        return {(name, field): value for name, values in found.items() for field, value in values.items()}

    def settable_tables(self) -> dict[str, Any]:
        """:meth:`tables` into which levels can be put: without what was computed, which levels may change."""
        dumped = self.tables()
        for *table, field in self.computed():
            del get_at(dumped, tuple(table))[field]
        return dumped

    def tables(self) -> dict[str, Any]:
        """The tables of the condition with defaults filled in; those by subgroup or group as they were written."""
        parts = {name: getattr(self, name) for name in Conditions.model_fields}
        dumped = {name: part.model_dump(mode="json") for name, part in parts.items() if part is not None}
        if self.population is not None:
            dumped["population"] = self.population.model_dump(mode="json", exclude_unset=True)
            for stage in ("pretraining", "finetuning", "evaluation"):
                dumped[stage].pop("shifts", None)  # also holds those of the population
        for location, value in self._written.items():
            set_at(dumped, location, value)
        return dumped

    def pretraining_condition(self) -> PretrainingCondition:
        """What a pretrained encoder depends on."""
        pretraining = self._with_prescribed_views(self.pretraining)
        attributes = None if self.population is None else self.population.structure()
        return PretrainingCondition(
            generator=self.generator, encoder=self.encoder, pretraining=pretraining, attributes=attributes
        )

    def finetuning_condition(self) -> FinetuningCondition:
        """What an arm depends on beyond its encoder."""
        finetuning = self.finetuning
        if finetuning.skew_matched:
            cohort = self.pretraining.demographic_stage() or self.pretraining
            update = {"shares": cohort.shares, "skew_matched": False}
            finetuning = finetuning.model_copy(update=update)
        return FinetuningCondition(finetuning=self._with_prescribed_views(finetuning), evaluation=self.evaluation)

    def _with_prescribed_views(self, stage: Any) -> Any:
        """A stage without views that are no symmetries of the generator's images, and with the augmentation values that
        its difficulty mode prescribes."""
        missing = dict.fromkeys((name for name in SYMMETRIES if name not in self.generator.symmetries), 0.0)
        prescribed = missing | dict(self.generator.difficulty.views)
        if not prescribed:
            return stage
        return replace_nested(stage, (Augmentation,), lambda views: views.model_copy(update=prescribed))


def augmentations(node: Any) -> Iterator[tuple[tuple[str | int, ...], Augmentation]]:
    """Location and value of every augmentation nested in a definition."""
    if isinstance(node, Augmentation):
        yield (), node
    elif isinstance(node, Definition | tuple):
        parts = enumerate(node) if isinstance(node, tuple) else ((n, getattr(node, n)) for n in type(node).model_fields)
        for name, part in parts:
            yield from (((name, *location), found) for location, found in augmentations(part))
