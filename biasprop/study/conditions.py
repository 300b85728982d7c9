"""One condition of a study: pretraining cohort and objective, labelled set and protocol, and evaluation sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, field_validator

from biasprop.component import Component, Definition, OneOf, Traced
from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS, SOURCES
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.nn.optimisation import Schedule
from biasprop.nn.views import SYMMETRIES, Augmentation
from biasprop.objectives import OBJECTIVES
from biasprop.population.shifts import Shifts, no_shifts
from biasprop.protocols import PROTOCOLS
from biasprop.tasks import TASKS

Share = Annotated[float, Field(ge=0, le=1)]
Prevalence = Annotated[float, Field(gt=0, lt=1)]


def _sum_to_one(shares: dict[str, float]) -> dict[str, float]:
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares must sum to 1; these sum to {sum(shares.values()):g}")
    return shares


def _is_none(mitigation: Any) -> bool:
    """Whether there is no mitigation; the field is then not serialised and does not enter the digest."""
    return mitigation.kind == "none"


class Pretraining(Component):
    """Pretraining without disease labels: a finite simulated cohort, its demographics and the objective."""

    source: Annotated[Any, OneOf(SOURCES)] = Field(
        default_factory=lambda: SOURCES["cohort"](), exclude_if=lambda source: source.shows_subjects
    )
    """Origin of the images: the cohort, or images without subjects, for which shares and prevalence have no
    meaning."""
    cohort: Annotated[int, Traced(), Field(ge=16, le=100_000_000)] = 20_000
    """Number of distinct subjects; changing only the shares leaves it fixed. A subject always renders to the same
    image. Images are rendered once and cached if the cohort fits in 500 MB, and otherwise re-rendered whenever they
    are drawn into a batch."""
    shares: dict[str, Share]
    """P(subgroup) in the cohort; sums to 1."""
    prevalence: Prevalence = 0.5
    """P(disease | subgroup) in the cohort, equal in all subgroups unless a shift changes it."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members in the cohort differ beyond their share; their disease labels are not used."""
    objective: Annotated[Any, OneOf(OBJECTIVES)] = Field(default_factory=lambda: OBJECTIVES["contrastive"]())
    """Pretraining loss."""
    schedule: Schedule = Schedule()
    """Steps, batch size and learning rate."""
    mitigation: Annotated[Any, OneOf(PRETRAINING_MITIGATIONS)] = Field(
        default_factory=lambda: PRETRAINING_MITIGATIONS["none"](), exclude_if=_is_none
    )
    """Countermeasure against a skew of the cohort; uses subgroups but no disease labels."""

    shares_sum_to_one = field_validator("shares")(_sum_to_one)

    @property
    def sees_subjects(self) -> bool:
        """Whether the encoder is trained on images of subjects, so that their mix matters."""
        return self.objective.trains and self.source.shows_subjects

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
    """Label budget: number of labelled subjects, in exact counts per subgroup and label."""
    shares: dict[str, Share]
    """P(subgroup) among the labelled subjects; sums to 1."""
    skew_matched: bool = Field(default=False, exclude_if=_is_off)
    """Use the shares of the pretraining cohort in place of ``shares``: a reference in which the labelled set has the
    same skew as the cohort."""
    prevalence: Prevalence = 0.5
    """P(disease | subgroup) among the labelled subjects, equal in all subgroups unless a shift changes it."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members in the labelled and the validation set differ beyond their share."""
    task: Annotated[Any, OneOf(TASKS)] = Field(
        default_factory=lambda: TASKS["disease"](), exclude_if=lambda task: task == TASKS["disease"]()
    )
    """What is predicted and how it is judged."""
    protocol: Annotated[Any, OneOf(PROTOCOLS)] = Field(default_factory=lambda: PROTOCOLS["linear_probe"]())
    """Fine-tuning method: which parameters are fitted to the labels, and how."""
    mitigation: Annotated[Any, OneOf(MITIGATIONS)] = Field(
        default_factory=lambda: MITIGATIONS["none"](), exclude_if=_is_none
    )
    """Countermeasure against a skew; uses subgroups and recorded labels."""

    shares_sum_to_one = field_validator("shares")(_sum_to_one)


class Evaluation(Component):
    """Sizes of the validation, calibration and test sets."""

    test: Annotated[int, Field(ge=20, le=1_000_000)] = 2_000
    """Test subjects per replicate; each is rendered once in every subgroup (twins), half of them with disease."""
    selection: Annotated[int, Field(ge=4, le=1_000)] = 1_000
    """Largest size of the validation set, which chooses the regularisation and the stopping step. An arm uses no more
    validation subjects than it has labels."""
    calibration: Annotated[int, Field(ge=20, le=1_000_000)] = 1_000
    """Subjects that set the operating threshold and measure calibration, disjoint from all others."""
    pretext: Annotated[int, Field(ge=0, le=1_000_000)] = Field(default=0, exclude_if=_is_off)
    """Number of held-out subjects, in equal shares of the subgroups and in no other set, for the pretraining loss of
    each subgroup after pretraining; 0: not measured."""
    target_specificity: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Specificity on the calibration set at which the operating threshold, common to all subgroups, is set."""
    threshold_probability: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, exclude_if=_is_even)
    """Predicted probability of disease above which a decision is to treat, for the net benefit: the probability p at
    which treating and not treating are worth the same, so that p / (1 - p) false positives are as bad as one true
    positive is good. Probabilities are those of a test set in which half of the subjects are diseased."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members in the calibration and the test set differ; annotation shifts change test labels
    only."""

    def decisions(self) -> dict[str, float]:
        """What decisions are made by: the arguments of ``statistics.measures.measure`` beside the cube."""
        return {"target_specificity": self.target_specificity, "threshold_probability": self.threshold_probability}

    def evaluated_images(self, subgroups: int) -> int:
        """Images of the calibration and the test set; a test subject has one image in every subgroup."""
        return self.calibration + self.test * subgroups

    def images(self, subgroups: int) -> int:
        """Images of the validation, calibration and test sets."""
        return self.selection + self.evaluated_images(subgroups)


class PretrainingCondition(Component):
    """Everything a pretrained encoder depends on, apart from its replicate."""

    generator: Annotated[Any, OneOf(GENERATORS)]
    """Subgroups, and how their images are made."""
    encoder: Annotated[Any, OneOf(ENCODERS)]
    """The network."""
    pretraining: Pretraining
    """Cohort, objective and schedule."""


class FinetuningCondition(Component):
    """Everything an arm depends on beyond its encoder."""

    finetuning: Finetuning
    """Labels and protocol."""
    evaluation: Evaluation
    """Sizes of the validation, calibration and test sets."""


class Conditions(Definition):
    """One complete condition. Levels can set every key except those of ``evaluation`` other than its shifts."""

    generator: Annotated[Any, OneOf(GENERATORS)]
    """Subgroups, and how their images are made."""
    encoder: Annotated[Any, OneOf(ENCODERS)]
    """The network."""
    pretraining: Pretraining
    """Cohort, objective and schedule."""
    finetuning: Finetuning
    """Label budget, its demographics, and the protocol."""
    evaluation: Evaluation = Evaluation()
    """Sizes of the validation, calibration and test sets."""

    def pretraining_condition(self) -> PretrainingCondition:
        """What a pretrained encoder depends on."""
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
        """A stage without views that are no symmetries of the generator's images, and with the augmentation values that
        its difficulty mode prescribes."""
        missing = dict.fromkeys((name for name in SYMMETRIES if name not in self.generator.symmetries), 0.0)
        prescribed = missing | dict(self.generator.difficulty.views)
        return _with_views(stage, prescribed) if prescribed else stage


def augmentations(node: Definition) -> Iterator[tuple[tuple[str, ...], Augmentation]]:
    """Location and value of every augmentation nested in a definition."""
    for name in type(node).model_fields:
        value = getattr(node, name)
        if isinstance(value, Augmentation):
            yield (name,), value
        elif isinstance(value, Definition):
            yield from (((name, *location), found) for location, found in augmentations(value))


def _with_views(node: Any, prescribed: dict[str, float]) -> Any:
    """A copy of a definition, or of a field's value, in which every nested augmentation has the prescribed values."""
    if isinstance(node, Augmentation):
        return node.model_copy(update=prescribed)
    if not isinstance(node, Definition):
        return node
    return node.model_copy(
        update={name: _with_views(getattr(node, name), prescribed) for name in type(node).model_fields}
    )
