"""Interfaces of encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Float, Key

from biasprop.interfaces.examples import Example, Params, Spec

InputConstants = dict[str, Array]
"""Constants of a normalisation: ``mean`` and ``sd`` of each channel, [c]."""


class Normalisation(Protocol):
    """Scales the values of images before a network."""

    kind: str
    of_cohort: ClassVar[bool]
    """Whether it needs constants of the pretraining cohort."""

    def apply(self, images: Float[Array, "n h w c"], constants: InputConstants | None) -> Float[Array, "n h w c"]:
        """Scaled images.

        Args:
            images: of any size and number of channels.
            constants: those of the encoder; None unless ``of_cohort``.
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
class HasNormalisation(Encoder, Protocol):
    """An encoder whose input is normalised; constants of the cohort, if needed, are among its parameters."""

    normalisation: Normalisation

    def with_constants(self, params: Params, constants: InputConstants) -> Params:
        """Parameters with these constants of its normalisation."""
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
