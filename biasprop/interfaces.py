"""Interfaces of components: what a generator, encoder, objective, protocol or mitigation provides.

Those of pretraining (objective, mitigation, source, loop) are in :mod:`biasprop.pretraining_interfaces`.

Shapes: ``h w c`` image, ``n`` and ``m`` subjects, ``d`` features, ``g`` subgroups. ``kind`` is the name of a component
in study files.

An example, which is what is observed of one subject, is a dict of named arrays; examples of several subjects are a dict
of arrays with a leading axis. The names in use are ``image`` (``h w c``, in [0, 1]) and ``features`` (a vector).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Key
from numpy.typing import NDArray

if TYPE_CHECKING:
    import optax

Params = Any
"""A pytree of arrays."""

Example = dict[str, Array]
"""Name -> array: what is observed of one subject, or of several where every array has a leading axis."""


class ArraySpec(NamedTuple):
    """Shape and type of one array of an example."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * np.dtype(self.dtype).itemsize


Spec = Mapping[str, ArraySpec]
"""Name -> shape and type of each array of one example."""


class Subjects(NamedTuple):
    """Properties of a subject that the population determines; a generator draws everything else from the subject's key.

    One subject, or a batch if every field has a leading axis. Optional fields are None if they do not apply, and are
    then absent from the compiled program; a generator must use those that are set. The last three are set by difficulty
    modes, for generators with the matching capability (:class:`HasDose`, :class:`HasSlope`, :class:`HasBijection`).
    """

    key: Key[Array, "*n"]
    """Source of all latents of the subject."""
    subgroup: Int[Array, "*n"]
    """Index into the generator's subgroups."""
    label: Int[Array, "*n"]
    """True label: 1 diseased, 0 healthy."""
    presentation: Float[Array, "*n"] | None = None
    """Manifestation shift: relative change in the severity of a diseased subject (0.5: 50 % more); None equals 0."""
    noise: Float[Array, "*n"] | None = None
    """Factor on the sd of the image noise; None equals 1."""
    marker: Int[Array, "*n"] | None = None
    """1 if the image contains a marker (a shortcut unrelated to the disease's appearance); None equals 0."""
    months: Float[Array, "*n"] | None = None
    """Months since the first image, for a follow-up image of the same subject: anatomy is the same, disease has
    progressed, and latents of a single image (light, noise) are redrawn. None is the first image."""
    exposure: Float[Array, "*n"] | None = None
    """Factor on the light that reaches the sensor; None equals 1."""
    disease: Int[Array, "*n"] | None = None
    """Index, among the generator's diseases, of the one that ``label`` states; None for the first. The generator draws
    the others, if there are any, from the subject's key."""
    dose: Float[Array, "*n"] | None = None
    """Dose of the image (such as light) as a fraction of the natural one, in (0, 1]; None equals 1."""
    slope: Float[Array, "*n"] | None = None
    """Slope of oriented structure in the image, degrees; the opposite slope is its mirror image. None: the image has no
    structure that is oriented for this purpose."""
    reference: Int[Array, "*n"] | None = None
    """Index of the subgroup in which the image is made, noise included, before a bijection maps it to ``subgroup``;
    None: it is made in ``subgroup``."""

    @property
    def imaged_subgroup(self) -> Array:
        """Index of the subgroup in which the image is made."""
        return self.subgroup if self.reference is None else self.reference

    @property
    def mean_severity(self) -> Array:
        """Mean severity given the label: 0 healthy, 1 diseased, ``1 + presentation`` under a manifestation shift."""
        return self.label if self.presentation is None else self.label * (1 + self.presentation)


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


class Generator(Protocol):
    """Simulates what is observed of subjects. Every method is per subject; batch with ``jax.vmap``."""

    kind: str
    subgroups: dict[str, Any]
    """Name -> levers of the subgroup, in the order of the study file."""
    diseases: ClassVar[tuple[str, ...]]
    """Names of the diseases that a subject can have; the first is the one that a cohort's prevalence is of."""
    latent_names: ClassVar[tuple[str, ...]]
    """Names of the latents stored with every scored subject."""

    attribute_names: ClassVar[tuple[str, ...]]
    """Names of attributes that could be annotated and are independent of disease and subgroup; may be empty."""
    follows_up: ClassVar[bool]
    """Whether it can render follow-up images (:attr:`Subjects.months`)."""

    symmetries: ClassVar[tuple[str, ...]]
    """Fields of :class:`biasprop.nn.views.Augmentation` among ``flip`` and ``transpose`` that map images to images that
    are equally likely; empty if images have a left and a right, or if there is no image."""

    @property
    def spec(self) -> Spec:
        """Shape and type of every array of an example."""
        ...

    def observe(self, subject: Subjects) -> Example:
        """The example of a subject."""
        ...

    def latents(self, subject: Subjects) -> Float[Array, " k"]:
        """The values of ``latent_names``."""
        ...

    def attributes(self, subject: Subjects) -> Float[Array, " a"]:
        """The values of ``attribute_names``, standardised (mean 0, sd 1); needed only if there are any."""
        ...


@runtime_checkable
class RendersImages(Protocol):
    """A generator whose examples have an ``image``."""

    subgroups: dict[str, Any]
    anatomy_differs: ClassVar[bool]
    """Whether subgroups may differ in anatomy, so that twins may differ in their masks."""

    def render(self, subject: Subjects) -> Float[Array, "h w c"]:
        """The image, in [0, 1]."""
        ...

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the structure that carries the disease, in [0, 1]."""
        ...

    def measure(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Lever -> its value as estimated from the pixels."""
        ...


@runtime_checkable
class HasDose(Protocol):
    """A generator that uses :attr:`Subjects.dose`: the variance of the noise grows as the dose falls, and nothing else
    changes."""

    def matching_doses(self) -> dict[str, float]:
        """Subgroup -> dose at which its ideal observer has the AUC of the hardest subgroup's at dose 1, in (0, 1].

        Raises:
            ValueError: no doses make the subgroups equally hard.
        """
        ...


@runtime_checkable
class HasBijection(Protocol):
    """A generator that uses :attr:`Subjects.reference`: a bijection, which depends on the subgroups alone, maps images
    of one subgroup to those of another."""

    def reference_subgroup(self) -> Int[Array, ""]:
        """Index of the subgroup whose images can be mapped to those of all others without leaving [0, 1]."""
        ...


@runtime_checkable
class HasSlope(Protocol):
    """A generator that uses :attr:`Subjects.slope`: at opposite slopes, subgroups of equal levers are mirror images."""

    def slope_incompatibility(self) -> str | None:
        """What the generator needs with its present levers before its images show a slope, or None."""
        ...

    def measure_slope(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> Float[Array, ""]:
        """The slope as estimated from the pixels, degrees."""
        ...


@runtime_checkable
class HasIdealObserver(Protocol):
    """A generator whose ideal observer is known in closed form."""

    def ideal_auc(self, subject: Subjects) -> float:
        """AUC of the ideal observer in the subgroup and circumstances of a subject; key and label are not used."""
        ...


@runtime_checkable
class HasInformedObserver(Protocol):
    """A generator whose label acts through known latents alone, which bounds every observer from above."""

    def informed_auc(self, subject: Subjects) -> float:
        """AUC of an observer who knows these latents, in the subgroup and circumstances of a subject."""
        ...


@runtime_checkable
class HasLinearObserver(Protocol):
    """A generator with a linear model of its images, whose ideal observer is known."""

    def linear_auc(self, subject: Subjects) -> float:
        """AUC of the ideal observer of the linear model, in the subgroup and circumstances of a subject."""
        ...


@runtime_checkable
class HasLaw(Protocol):
    """A generator of Gaussian images, to which label 1 adds a known signal."""

    def law(self, subject: Subjects) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The signal [pixel], and the pixel covariance [pixel, pixel] in the subgroup and circumstances of a subject.

        Raises:
            ValueError: in these circumstances the signal differs between subgroups.
        """
        ...


class FeatureMap(Protocol):
    """Maps examples to feature vectors, given parameters."""

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """Pooled features of a batch."""
        ...


class Encoder(FeatureMap, Protocol):
    """A network; its parameters do not depend on what is predicted from its features."""

    kind: str
    reads: ClassVar[tuple[str, ...]]
    """Names of the arrays of an example that it reads."""

    def features(self, spec: Spec) -> int:
        """Length of the feature vector of examples of this spec."""
        ...

    def incompatibility(self, spec: Spec) -> str | None:
        """Why examples of this spec, which has all arrays of ``reads``, cannot be encoded, or None."""
        ...

    def counts(self, spec: Spec) -> tuple[int, int]:
        """Number of parameters, and number of activations per example stored for the backward pass."""
        ...

    def init(self, key: Key[Array, ""], spec: Spec) -> Params:
        """Untrained parameters for examples of this spec."""
        ...

    def layers(self, params: Params) -> Params:
        """Layer number of each parameter: 0 is before the first layer, the largest number is next to the head."""
        ...


@runtime_checkable
class HasTokens(Encoder, Protocol):
    """An encoder of image patches, whose token features objectives can decode."""

    patch: int
    """Side of a patch in pixels."""
    width: int
    """Length of a token."""
    drops_tokens: ClassVar[bool]
    """Whether ``tokens`` can drop tokens (needed by masked objectives)."""

    def tokens(
        self, params: Params, images: Float[Array, "n h w c"], keep: Callable[[Array], Array] | None = None
    ) -> Float[Array, "n t d"]:
        """Token features; if the encoder ``drops_tokens``, ``keep`` may select a subset of the embedded tokens."""
        ...


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


class Optimiser(Protocol):
    """Gradient descent of a given length."""

    @property
    def steps(self) -> int | Int[Array, ""]:
        """Number of steps."""
        ...

    def optimiser(self) -> optax.GradientTransformation:
        """The gradient transformation of all steps."""
        ...


class BatchOptimiser(Optimiser, Protocol):
    """Gradient descent on batches."""

    @property
    def batch(self) -> int:
        """Examples per step."""
        ...


class TrainingTask(Protocol):
    """A loss to minimise, as a pytree, so that all tasks of the same structure share one compiled segment."""

    @property
    def schedule(self) -> Optimiser:
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


class Recipe(Protocol):
    """How a protocol trains."""

    @property
    def schedule(self) -> BatchOptimiser:
        """Steps, batch size and optimiser."""
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
    retrains: ClassVar[bool]
    """Whether it has a method ``retrained``, which refits the head after training."""

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
