"""What the rooms promise each other. Shapes: ``h w c`` image, ``n`` subjects, ``d`` features, ``g`` subgroups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from jaxtyping import Array, Float, Int, Key

Params = Any
"""A pytree of arrays."""


class Subjects(NamedTuple):
    """Who is imaged: the part of a subject that a population decides; the rest is drawn by the generator from its key.

    What is None is absent from every compiled program; a generator honours what is there.

    One subject, or a batch when every field has a leading axis.
    """

    key: Key[Array, "*n"]
    """Owns every latent of the subject."""
    subgroup: Int[Array, "*n"]
    """Index into the generator's subgroups."""
    label: Int[Array, "*n"]
    """Disease, 0 or 1."""
    presentation: Float[Array, "*n"] | None = None
    """How much further than usual the disease, if any, has come; None (and 0) is as usual."""
    noise: Float[Array, "*n"] | None = None
    """Sd of the image's noise over the generator's own; None is 1."""
    marker: Int[Array, "*n"] | None = None
    """1 where a marker lies in view; None is nowhere."""
    months: Float[Array, "*n"] | None = None
    """How long ago the subject was first imaged, which is now imaged again: who it is has stayed, the disease has
    evolved, and what belongs to one image (light, noise) is drawn anew; None is the first image."""

    @property
    def extent(self) -> Array:
        """How far the disease has come: 0 healthy, 1 as usual."""
        return self.label if self.presentation is None else self.label * (1 + self.presentation)


class Labelled(NamedTuple):
    """Images to learn from; rows at or beyond ``count`` are padding and carry no weight.

    What a mitigation needs is None where there is none, and absent from every compiled program then.
    """

    images: Float[Array, "n h w c"]
    labels: Int[Array, " n"]
    count: Int[Array, ""]
    subgroup: Float[Array, "n g"] | None = None
    """1 in the place of each subject's own."""
    weight: Float[Array, " n"] | None = None
    """How much each subject's loss counts; 1 on average."""
    chance: Float[Array, " n"] | None = None
    """How often each subject is drawn; 1 on average."""


class Cohort(NamedTuple):
    """Who there is to pretrain on."""

    size: int | Int[Array, ""]
    shares: Float[Array, " g"]
    """P(subgroup)."""
    subgroup_of: Callable[[Int[Array, " n"]], Int[Array, " n"]]
    """Subgroup of members by their index."""


class Generator(Protocol):
    """Renders subjects. Every method is per example; batch it with ``jax.vmap``."""

    kind: str
    subgroups: dict[str, Any]
    """Name -> levers of that subgroup, in the study's order."""
    latent_names: ClassVar[tuple[str, ...]]
    """The key latents stored with every subject that is scored."""

    attribute_names: ClassVar[tuple[str, ...]]
    """What of a subject could be annotated and tells neither its disease nor its subgroup; none where there is
    nothing."""
    follows_up: ClassVar[bool]
    """Whether it honours :attr:`Subjects.months`."""

    difficulty: Any
    """How hard the task is in one subgroup against another: a member of ``generators.difficulty``."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        ...

    def calibrated(self) -> Self:
        """Itself with the constants that its difficulty asks for."""
        ...

    def render(self, subject: Subjects) -> Float[Array, "h w c"]:
        """The image, in [0, 1]."""
        ...

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """How much of each pixel the disease-bearing structure covers, in [0, 1]."""
        ...

    def latents(self, subject: Subjects) -> Float[Array, " k"]:
        """The values of ``latent_names``."""
        ...

    def attributes(self, subject: Subjects) -> Float[Array, " a"]:
        """The values of ``attribute_names``, of mean 0 and sd 1; needed only where there are names."""
        ...

    def measure(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Each lever, read back from pixels."""
        ...


class Source(Protocol):
    """Images to pretrain on; with ``shows_subjects`` they are the cohort's and there is nothing to render."""

    kind: str
    shows_subjects: ClassVar[bool]

    def render(self, key: Key[Array, ""], shape: tuple[int, int, int]) -> Float[Array, "h w c"]:
        """An image of no subject, in [0, 1], in the shape that the study's generator has."""
        ...


class Encoder(Protocol):
    """Images to features."""

    kind: str
    drops_tokens: ClassVar[bool]
    """Whether it has ``tokens``, and these take a function that drops some."""

    @property
    def features(self) -> int:
        """Length of the feature vector."""
        ...

    def incompatibility(self, shape: tuple[int, int, int]) -> str | None:
        """Why images of this shape cannot be encoded, or None."""
        ...

    def counts(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """How many parameters there are, and how many numbers of an image are kept for the way back."""
        ...

    def init(self, key: Key[Array, ""], shape: tuple[int, int, int]) -> Params:
        """Untrained parameters for images of this shape."""
        ...

    def apply(self, params: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Pooled features."""
        ...

    def layers(self, params: Params) -> Params:
        """For each parameter the number of its layer: 0 comes before the first layer, the largest is read by a head."""
        ...


class Objective(Protocol):
    """What pretraining minimises."""

    kind: str
    trains: ClassVar[bool]
    """False for no pretraining at all."""
    reads: ClassVar[tuple[str, ...]]
    """What of a subject its loss is given beside the image, by name: ``attribute`` for the value of one of the
    generator's attributes, named by the objective's ``attribute``; ``follow_up`` for the image after the objective's
    ``months``. Nothing else exists to be read, neither subgroup nor label."""

    def incompatibility(self, encoder: Any, shape: tuple[int, int, int]) -> str | None:
        """Why an encoder of images of this shape cannot be trained by this objective, or None."""
        ...

    def init(self, key: Key[Array, ""], encoder: Any, shape: tuple[int, int, int]) -> Params:
        """Parameters of whatever is thrown away after pretraining (projection head, decoder)."""
        ...

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        images: Float[Array, "n h w c"],
        key: Key[Array, ""],
        *read: Array,
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean loss of one batch.

        Args:
            encoder: whose parameters are trained.
            params: these parameters.
            extra: what :meth:`init` made.
            images: of the batch.
            key: of the step; owns views, masks and corruptions.
            read: the arguments that ``reads`` names.
            weight: how much each image counts, 1 on average; None where all count alike.
        """
        ...


class ReadOut(Protocol):
    """What features are read by: a pytree, such as a linear head or the labelled features themselves."""

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Log-odds of disease."""
        ...


class FineTuningMethod(Protocol):
    """A way of adapting an encoder to labels: with ``adapts_encoder`` false a :class:`FrozenMethod`, with true a
    :class:`GradientMethod`."""

    kind: str
    draws: int
    """Label sets drawn in each replicate."""
    adapts_encoder: ClassVar[bool]
    linear_head: ClassVar[bool]
    """Whether its read-out is linear in the features."""
    adapts_all: ClassVar[bool]
    """Whether every parameter of the encoder may end elsewhere than it began."""


class FrozenMethod(FineTuningMethod, Protocol):
    """Leaves the encoder alone and solves its own fit."""

    def fit(
        self,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> ReadOut:
        """A read-out of frozen features; rows at or beyond a count carry no weight, the others ``weight``."""
        ...


class GradientMethod(FineTuningMethod, Protocol):
    """Says what of an encoder moves, and what :mod:`biasprop.nn.optimisation` minimises by moving it.

    What stays is no part of what is trained, so that neither decay nor rounding can move it.
    """

    def recipe(self, pretrained: bool) -> Any:
        """Schedule and views for an encoder that was, or was not, pretrained."""
        ...

    def start(self, key: Key[Array, ""], encoder: Any, params: Params) -> Params:
        """What moves, before the first step: ``encoder``, in whatever form, and ``head``."""
        ...

    def task(
        self, encoder: Any, params: Params, pretrained: bool, train: Labelled, selection: Labelled, key: Key[Array, ""]
    ) -> Any:
        """What is minimised on these labels (a :class:`biasprop.nn.optimisation.ValidatedTask`)."""
        ...

    def merge(self, encoder: Any, params: Params, trained: Params) -> Params:
        """All parameters of the adapted encoder.

        Args:
            encoder: their encoder.
            params: as they were before.
            trained: what :meth:`start` called ``encoder``, trained.
        """
        ...


class Mitigation(Protocol):
    """Makes up for a skew in the labelled stage; whatever it balances, stopping follows one rule for all."""

    kind: str
    needs_groups: ClassVar[bool]
    """Whether it has to be told subgroups."""
    retrains: ClassVar[bool]
    """Whether it has ``retrained``, which makes a head of its own once training is over."""

    def incompatibility(self, adapter: Any) -> str | None:
        """Why it does not go with a protocol, or None."""
        ...

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled subjects with the weights or chances it gives them."""
        ...

    def start(self, train: Labelled) -> dict[str, Any]:
        """What moves beside encoder and head, before the first step."""
        ...

    def task(self, task: Any) -> Any:
        """What is minimised instead of a protocol's task (a :class:`biasprop.nn.optimisation.ValidatedTask`)."""
        ...


class PretrainingMitigation(Protocol):
    """Makes up for a skew in the unlabelled stage; it is told the subgroups, which an objective never is."""

    kind: str
    needs_subjects: ClassVar[bool]
    """Whether it means nothing where images are of nobody."""

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Members of a batch, by index."""
        ...

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """How much each member of a batch counts in the loss, 1 on average; None where all count alike."""
        ...

    def continuation(self, pretraining: Any) -> Any | None:
        """A second stage that goes on where pretraining ended, or None."""
        ...
