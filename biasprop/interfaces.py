"""What the rooms promise each other. Shapes: ``h w c`` image, ``n`` subjects, ``d`` features, ``g`` subgroups."""

from __future__ import annotations

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

    @property
    def extent(self) -> Array:
        """How far the disease has come: 0 healthy, 1 as usual."""
        return self.label if self.presentation is None else self.label * (1 + self.presentation)


class Labelled(NamedTuple):
    """Images to learn from; rows at or beyond ``count`` are padding and carry no weight."""

    images: Float[Array, "n h w c"]
    labels: Int[Array, " n"]
    count: Int[Array, ""]


class Generator(Protocol):
    """Renders subjects. Every method is per example; batch it with ``jax.vmap``."""

    kind: str
    subgroups: dict[str, Any]
    """Name -> levers of that subgroup, in the study's order."""
    latent_names: ClassVar[tuple[str, ...]]
    """The key latents stored with every subject that is scored."""

    difficulty: Any
    """How hard the task is in one subgroup against another: a member of ``generators.difficulty``."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        ...

    def solved(self) -> Self:
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

    def measure(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Each lever, read back from pixels."""
        ...


class Encoder(Protocol):
    """Images to features."""

    kind: str

    @property
    def features(self) -> int:
        """Length of the feature vector."""
        ...

    def refuses(self, shape: tuple[int, int, int]) -> str | None:
        """Why images of this shape cannot be encoded, or None."""
        ...

    def numbers(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """How many parameters there are, and how many numbers of an image are kept for the way back."""
        ...

    def init(self, key: Key[Array, ""], shape: tuple[int, int, int]) -> Params:
        """Untrained parameters for images of this shape."""
        ...

    def apply(self, params: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Pooled features."""
        ...


class Objective(Protocol):
    """What pretraining minimises."""

    kind: str
    trains: ClassVar[bool]
    """False for no pretraining at all."""

    def cannot_train(self, encoder: Any, shape: tuple[int, int, int]) -> str | None:
        """Why an encoder of images of this shape cannot be trained by this objective, or None."""
        ...

    def init(self, key: Key[Array, ""], encoder: Any, shape: tuple[int, int, int]) -> Params:
        """Parameters of whatever is thrown away after pretraining (projection head, decoder)."""
        ...

    def loss(
        self, encoder: Any, params: Params, extra: Params, images: Float[Array, "n h w c"], key: Key[Array, ""]
    ) -> Float[Array, ""]:
        """Mean loss of one batch; never sees subgroup or label."""
        ...


class Adapter(Protocol):
    """A way of adapting an encoder to labels.

    With ``adapts_encoder`` false it has ``fit`` (frozen features in, a head out); with true it has ``start`` and
    ``task``, which :mod:`biasprop.training` minimises.
    """

    kind: str
    draws: int
    """Label sets drawn in each replicate."""
    adapts_encoder: ClassVar[bool]
