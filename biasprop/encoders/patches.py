"""Base class of encoders of patches: patch embedding, blocks, final norm, mean pooling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component, OneOf, default_member
from biasprop.interfaces import Example, InputConstants, Normalisation, Params, Spec
from biasprop.normalisations import NORMALISATIONS

INPUT = "input"
"""Name of the constants of a normalisation among the parameters."""


class PatchEncoder(Component):
    """Patchify, blocks over tokens, mean-pooled features."""

    patch: Annotated[int, Field(ge=1, le=64)] = 8
    """Side of a patch in pixels; must divide the image."""
    width: Annotated[int, Field(ge=4, le=4096)] = 64
    """Length of a token and of the feature vector."""
    depth: Annotated[int, Field(ge=1, le=48)] = 2
    """Number of blocks."""
    expansion: Annotated[int, Field(ge=1, le=16)] = 2
    """Hidden width of the MLPs, as a multiple of the width."""

    normalisation: Annotated[Normalisation, OneOf(NORMALISATIONS)] = Field(
        default_factory=default_member(NORMALISATIONS, "cohort")
    )
    """How the values of an image are scaled before the first layer."""

    reads: ClassVar[tuple[str, ...]] = ("image",)
    drops_tokens: ClassVar[bool] = False

    def features(self, spec: Spec) -> int:
        """Length of the feature vector."""
        return self.width

    def incompatibility(self, spec: Spec) -> str | None:
        """Why images of this shape cannot be encoded, or None."""
        height, width, _ = spec["image"].shape
        if height % self.patch or width % self.patch:
            return f"patch = {self.patch} must divide the image size {height}"
        return None

    def init(self, key: Key[Array, ""], spec: Spec) -> Params:
        """Untrained parameters for images of this shape; constants are those of ``fixed`` until others are given."""
        from biasprop.nn import layers

        params = layers.init(self._network(*self._sizes(spec["image"].shape)), key)
        if not self.normalisation.of_cohort:
            return params
        channels = spec["image"].shape[2]
        return self.with_constants(params, {"mean": jnp.full(channels, 0.5), "sd": jnp.full(channels, 0.25)})

    def with_constants(self, params: Params, constants: InputConstants) -> Params:
        """Parameters with these constants of the normalisation."""
        return {**params, INPUT: constants}

    def tokens(
        self, params: Params, images: Float[Array, "n h w c"], keep: Callable[[Array], Array] | None = None
    ) -> Float[Array, "n t d"]:
        """Token features; if the encoder ``drops_tokens``, ``keep`` may select a subset of the embedded tokens."""
        from biasprop.nn import layers

        constants = jax.lax.stop_gradient(params.get(INPUT))
        patches = layers.patchify(self.normalisation.apply(images, constants), self.patch)
        network = self._network(*self._sizes(images.shape[1:]))
        trained = {name: values for name, values in params.items() if name != INPUT}
        return layers.apply(network, trained, patches, *(() if keep is None else (keep,)))

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """Mean-pooled features of a batch."""
        return self.tokens(params, examples["image"]).mean(axis=1)

    def layers(self, params: Params) -> Params:
        """Layer number of each parameter: 0 before the blocks, then one per block; the final norm is in the last."""

        def number(path: tuple[Any, ...], _: Any) -> int:
            part = path[0].key
            return path[1].key + 1 if part == "blocks" else self.depth if part == "norm" else 0

        return jax.tree_util.tree_map_with_path(number, params)

    def _sizes(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Length of a flattened patch, and number of patches."""
        return self.patch * self.patch * shape[2], (shape[0] // self.patch) * (shape[1] // self.patch)

    def counts(self, spec: Spec) -> tuple[int, int]:
        """Number of parameters, and number of activations per example stored for the backward pass."""
        parameters, activations = self._counts(spec)
        constants = 2 * spec["image"].shape[2] if self.normalisation.of_cohort else 0
        return parameters + constants, activations

    @abstractmethod
    def _counts(self, spec: Spec) -> tuple[int, int]:
        """As :meth:`counts`, of the network alone."""

    @abstractmethod
    def _network(self, inputs: int, tokens: int) -> Any:
        """Blueprint of the network from patches to tokens."""
