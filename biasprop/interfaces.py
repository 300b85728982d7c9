"""Interfaces of components: what a generator, encoder, objective, protocol or mitigation provides.

Shapes: ``h w c`` image, ``n`` and ``m`` subjects, ``d`` features, ``g`` subgroups. ``kind`` is the name of a component
in study files.

An example, which is what is observed of one subject, is a dict of named arrays; examples of several subjects are a dict
of arrays with a leading axis. The names in use are ``image`` (``h w c``, in [0, 1]) and ``features`` (a vector).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Key

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
    then absent from the compiled program; a generator must use those that are set.
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
    disease: Int[Array, "*n"] | None = None
    """Index, among the generator's diseases, of the one that ``label`` states; None for the first. The generator draws
    the others, if there are any, from the subject's key."""

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


class Cohort(NamedTuple):
    """A pretraining cohort, as passed to a pretraining mitigation."""

    size: int | Int[Array, ""]
    """Number of members."""
    shares: Float[Array, " g"]
    """P(subgroup)."""
    subgroup_of: Callable[[Int[Array, " n"]], Int[Array, " n"]]
    """Index of members -> their subgroups."""


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

    difficulty: Any
    """Difficulty mode: a member of ``generators.difficulty``."""

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

    def calibrated(self) -> Self:
        """A copy in which the constants of the difficulty mode (such as doses) have been solved for."""
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

    def render(self, subject: Subjects) -> Float[Array, "h w c"]:
        """The image, in [0, 1]."""
        ...

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the structure that carries the disease, in [0, 1]."""
        ...

    def measure(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Lever -> its value as estimated from the pixels."""
        ...


class Source(Protocol):
    """Where pretraining examples come from: the cohort, or non-medical images from ``observe``."""

    kind: str
    shows_subjects: ClassVar[bool]
    """Whether examples are of members of the cohort; ``observe`` is then not called."""

    def incompatibility(self, spec: Spec) -> str | None:
        """Why it cannot stand in for examples of this spec, or None."""
        ...

    def observe(self, key: Key[Array, ""], spec: Spec) -> Example:
        """An example without a subject, with the spec of the study's generator."""
        ...


class Encoder(Protocol):
    """Maps examples to feature vectors."""

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

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """Pooled features of a batch."""
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


class Objective(Protocol):
    """A pretraining loss."""

    kind: str
    trains: ClassVar[bool]
    """False if there is no pretraining."""
    reads: ClassVar[tuple[str, ...]]
    """Further inputs of the loss: ``attribute``, the value of the generator's attribute that the objective's field
    ``attribute`` names; ``follow_up``, the example of the same subject after the objective's ``months``. Subgroup and
    label are not available."""

    def incompatibility(self, encoder: Any, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        ...

    def init(self, key: Key[Array, ""], encoder: Any, spec: Spec) -> Params:
        """Parameters discarded after pretraining (projection head, decoder)."""
        ...

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        *read: Array,
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean loss of one batch.

        Args:
            encoder: the encoder being trained.
            params: parameters of the encoder.
            extra: parameters from :meth:`init`.
            examples: the batch.
            key: key of the step, for views, masks and corruptions.
            read: the inputs named by ``reads``, passed by keyword; an objective declares a parameter for each.
            weight: weight of each example, 1 on average; None for equal weights.
        """
        ...


class ReadOut(Protocol):
    """A predictor of a task's target from features, as a pytree: a linear head, or a set of labelled neighbours."""

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Predictions, for a disease its log-odds."""
        ...


class Task(Protocol):
    """What is predicted from features, and how the prediction is judged."""

    kind: str
    stored: ClassVar[tuple[str, ...]]
    """Names of the variables of the cube that hold predictions (:data:`biasprop.store.variables.VARIABLES`)."""
    metrics: ClassVar[tuple[str, ...]]
    """Names of the metrics that apply to them (:mod:`biasprop.metrics`)."""
    link: ClassVar[str]
    """Scale on which contrasts are taken unless an estimand names another."""

    def disease_index(self, diseases: Sequence[str]) -> int | None:
        """Position of the target among the generator's diseases; None for the first.

        Raises:
            ValueError: the generator has no such disease.
        """
        ...

    def head(self, features: int) -> Any:
        """Initial parameters of a head (a :class:`ReadOut`) for feature vectors of this length."""
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
    ) -> Any:
        """The head of lowest loss plus L2 penalty on the first ``count`` rows; all NaN if it cannot be found."""
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
        task: Any,
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


class GradientMethod(FineTuningMethod, Protocol):
    """Defines the trainable parameters and the loss that :mod:`biasprop.nn.optimisation` minimises over them.

    Frozen parameters are not among the trainable ones, so neither weight decay nor rounding can change them.
    """

    def recipe(self, pretrained: bool) -> Any:
        """Schedule and augmentation, which may depend on whether the encoder is pretrained."""
        ...

    def start(self, key: Key[Array, ""], encoder: Any, params: Params, head: ReadOut) -> Params:
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
        task: Any,
        encoder: Any,
        params: Params,
        pretrained: bool,
        train: Labelled,
        selection: Labelled,
        key: Key[Array, ""],
    ) -> Any:
        """The loss to minimise on these labels (a :class:`biasprop.nn.optimisation.ValidatedTask`)."""
        ...

    def merge(self, encoder: Any, params: Params, trained: Params) -> Params:
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

    def incompatibility(self, protocol: Any) -> str | None:
        """Why it cannot be combined with a protocol, or None."""
        ...

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled set with loss weights or sampling weights."""
        ...

    def start(self, train: Labelled) -> dict[str, Any]:
        """Initial trainable parameters beside encoder and head."""
        ...

    def training(self, base: Any) -> Any:
        """The protocol's loss with the mitigation applied (a :class:`biasprop.nn.optimisation.ValidatedTask`)."""
        ...


class PretrainingMitigation(Protocol):
    """Counteracts a skew during pretraining. It receives subgroups, which an objective does not."""

    kind: str
    needs_subjects: ClassVar[bool]
    """Whether it requires images of subjects (a cohort) rather than non-medical images."""

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Draw a batch of ``n``: indices of cohort members."""
        ...

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """Loss weights of a batch, 1 on average; None for equal weights."""
        ...

    def continuation(self, pretraining: Any) -> Any | None:
        """A second pretraining stage that continues from the first, or None."""
        ...
