"""Interfaces of fine-tuning: what a task, a protocol and a mitigation provide, and the losses they minimise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, Key

from biasprop.interfaces.encoders import Encoder
from biasprop.interfaces.examples import Params

if TYPE_CHECKING:
    import optax


class Labelled(NamedTuple):
    """A labelled set, padded: rows from ``count`` on are not used.

    Only mitigations use the last three fields; otherwise they are None, and absent from the compiled program.
    """

    inputs: Any
    """Examples, or their features ``n d`` where the encoder is frozen."""
    labels: Int[Array, " n"]
    """Recorded labels."""
    count: Int[Array, ""]
    subgroup: Float[Array, "n g"] | None = None
    """One-hot subgroup."""
    weight: Float[Array, " n"] | None = None
    """Weight of each subject in the loss; 1 on average."""
    sampling_weight: Float[Array, " n"] | None = None
    """Relative frequency with which each subject is sampled into a batch; 1 on average."""


class ReadOut(Protocol):
    """A predictor of a task's target from features, as a pytree: a linear head, or a set of labelled neighbours."""

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Predictions, for a disease its log-odds."""
        ...


class Task(Protocol):
    """What is predicted from features, and how the prediction is judged."""

    kind: str
    disease: str
    """Name of the target among the generator's diseases; empty for the first."""
    stored: ClassVar[tuple[str, ...]]
    """Names of the variables of the cube that hold predictions (:data:`biasprop.store.variables.VARIABLES`)."""
    provides: ClassVar[tuple[str, ...]]
    """What metrics can need of it: those apply whose ``needs`` are among these (:data:`biasprop.metrics.METRICS`)."""
    link: ClassVar[str]
    """Scale on which contrasts are taken unless an estimand names another."""

    def disease_index(self, diseases: Sequence[str]) -> int | None:
        """Position of the target among the generator's diseases; None for the first.

        Raises:
            ValueError: the generator has no such disease.
        """
        ...

    def head(self, features: int) -> ReadOut:
        """An initial head for feature vectors of this length."""
        ...

    def loss(self, outputs: Float[Array, " n"], targets: Int[Array, " n"]) -> Float[Array, " n"]:
        """Loss of each subject, from the head's outputs and the recorded targets."""
        ...

    def fit(
        self,
        features: Float[Array, "n d"],
        targets: Int[Array, " n"],
        count: Int[Array, ""],
        penalty: float | Float[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> ReadOut:
        """The head of lowest loss plus L2 penalty on the first ``count`` rows; all NaN if it cannot be found."""
        ...


RateOfStep = Callable[[Int[Array, ""]], Float[Array, ""]]
"""Learning rate at a step."""


class Optimiser(Protocol):
    """How parameters move along a gradient."""

    kind: str

    def transformation(self, rate: RateOfStep, weight_decay: float | Float[Array, ""]) -> optax.GradientTransformation:
        """The gradient transformation.

        Args:
            rate: learning rate at a step.
            weight_decay: decoupled weight decay of matrices, per unit of the learning rate.
        """
        ...


class TrainingSchedule(Protocol):
    """Gradient descent of a given length."""

    @property
    def steps(self) -> int | Int[Array, ""]:
        """Number of steps."""
        ...

    def transformation(self) -> optax.GradientTransformation:
        """The gradient transformation of all steps."""
        ...


class BatchSchedule(TrainingSchedule, Protocol):
    """Gradient descent on batches."""

    @property
    def batch(self) -> int:
        """Examples per step."""
        ...

    def transformation(self, step: Int[Array, ""] | None = None) -> optax.GradientTransformation:
        """The optimiser; with the learning rate of this step rather than of the number of updates so far."""
        ...


class TrainingTask(Protocol):
    """A loss to minimise, as a pytree, so that all tasks of the same structure share one compiled segment."""

    @property
    def schedule(self) -> TrainingSchedule:
        """Number of steps, and the optimiser."""
        ...

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Loss of the batch of a step."""
        ...


class ValidatedTask(TrainingTask, Protocol):
    """A task that keeps its best parameters by validation loss."""

    def validation_loss(self, params: Params) -> Float[Array, ""]:
        """Loss on the validation set; the lowest marks the best parameters."""
        ...


class FinetuningLoss(ValidatedTask, Protocol):
    """The loss of a protocol, by subject, so that mitigations can weight it."""

    @property
    def train(self) -> Labelled:
        """The labelled set."""
        ...

    def losses(self, params: Params, step: Int[Array, ""]) -> tuple[Float[Array, " b"], Int[Array, " b"]]:
        """Loss of each view of a batch, and the row of its labelled subject."""
        ...


class StoppingRule(Protocol):
    """When a fine-tuning run ends."""

    def start(self, steps: Int[Array, ""], labels: Int[Array, ""]) -> Any:
        """The course of the validation loss before the first step, see :class:`biasprop.nn.stopping.Course`."""
        ...

    def follow(self, course: Any, step: Int[Array, ""], loss: Float[Array, ""]) -> Any:
        """The course after a segment that ended at a step with a validation loss."""
        ...

    def expected_steps(self, steps: int, labels: int) -> int:
        """Number of steps that a run may take, of a largest number, for an estimate of time."""
        ...


class Recipe(Protocol):
    """How a protocol trains."""

    head_first: bool
    """Whether the head is fitted to the frozen features before anything else is trained."""
    head_penalty: float
    """L2 penalty of that fit."""

    @property
    def schedule(self) -> BatchSchedule:
        """Largest number of steps, batch size and optimiser."""
        ...

    @property
    def stopping(self) -> StoppingRule:
        """When training ends."""
        ...


class FineTuningMethod(Protocol):
    """A protocol: adapts an encoder to labels. It is a :class:`GradientMethod` if ``adapts_encoder``, else a
    :class:`FrozenMethod`."""

    kind: str
    draws: int
    """Number of labelled sets drawn per replicate."""
    adapts_encoder: ClassVar[bool]
    linear_head: ClassVar[bool]
    """Whether the fitted classifier is linear in the features."""
    adapts_all: ClassVar[bool]
    """Whether every parameter of the encoder is trainable."""


class FrozenMethod(FineTuningMethod, Protocol):
    """Fits a classifier to features of the frozen encoder."""

    def fit(
        self,
        task: Task,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> ReadOut:
        """Fit a read-out of the task to the labelled set; its hyperparameters are chosen on the validation set
        (``selection_*``).

        In both sets, rows from the count on are not used. ``weight`` weights the labelled rows, 1 on average; None for
        equal weights.
        """
        ...


@runtime_checkable
class HasPenalties(FineTuningMethod, Protocol):
    """A protocol that chooses among L2 penalties."""

    penalties: tuple[float, ...]


@runtime_checkable
class GradientMethod(FineTuningMethod, Protocol):
    """Defines the trainable parameters and the loss that :mod:`biasprop.nn.optimisation` minimises over them.

    Frozen parameters are not among the trainable ones, so neither weight decay nor rounding can change them.
    """

    def recipe(self, pretrained: bool) -> Recipe:
        """Schedule and augmentation, which may depend on whether the encoder is pretrained."""
        ...

    def start(self, key: Key[Array, ""], encoder: Encoder, params: Params, head: ReadOut) -> Params:
        """Dict of initial trainable parameters: ``encoder``, in a form the protocol chooses, and ``head``.

        Args:
            key: key of the draw.
            encoder: the encoder.
            params: its parameters before fine-tuning.
            head: the task's initial head.
        """
        ...

    def training(
        self,
        task: Task,
        encoder: Encoder,
        params: Params,
        pretrained: bool,
        train: Labelled,
        selection: Labelled,
        key: Key[Array, ""],
    ) -> FinetuningLoss:
        """The loss to minimise on these labels."""
        ...

    def merge(self, encoder: Encoder, params: Params, trained: Params) -> Params:
        """All parameters of the adapted encoder.

        Args:
            encoder: the encoder.
            params: its parameters before fine-tuning.
            trained: the trained value of ``encoder`` from :meth:`start`.
        """
        ...


class Mitigation(Protocol):
    """Counteracts a skew during fine-tuning. Early stopping always uses the unweighted validation loss."""

    kind: str
    needs_groups: ClassVar[bool]
    """Whether it uses subgroup labels."""

    def incompatibility(self, protocol: FineTuningMethod) -> str | None:
        """Why it cannot be combined with a protocol, or None."""
        ...

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled set with loss weights or sampling weights."""
        ...

    def start(self, train: Labelled) -> dict[str, Any]:
        """Initial trainable parameters beside encoder and head."""
        ...

    def training(self, base: FinetuningLoss) -> ValidatedTask:
        """The protocol's loss with the mitigation applied."""
        ...


@runtime_checkable
class RefitsHead(Mitigation, Protocol):
    """A mitigation that fits the head again after training."""

    def retrained(self, task: Task, features: Float[Array, "n d"], selection: Labelled) -> ReadOut:
        """The head fitted to the validation set.

        Args:
            task: what is predicted.
            features: of the validation set, by the adapted encoder.
            selection: its labels and subgroups; rows at or beyond the count have no weight.
        """
        ...
