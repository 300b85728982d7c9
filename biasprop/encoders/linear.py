"""A linear map of all pixels: the encoder for which results are known in closed form."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec


class Linear(Component):
    """A linear map of the image minus mid-grey."""

    kind: Literal["linear"] = "linear"
    width: Annotated[int, Field(ge=1, le=4096)] = 16
    """Number of features."""

    reads: ClassVar[tuple[str, ...]] = ("image",)

    def features(self, spec: Spec) -> int:
        """Length of the feature vector."""
        return self.width

    def incompatibility(self, spec: Spec) -> str | None:
        """None: every image can be encoded."""
        return None

    def counts(self, spec: Spec) -> tuple[int, int]:
        """Number of parameters, and number of activations per example stored for the backward pass."""
        return spec["image"].size * self.width, self.width

    def init(self, key: Key[Array, ""], spec: Spec) -> Params:
        """A random map that preserves the variance of white noise."""
        pixels = spec["image"].size
        return {"map": jax.random.normal(key, (pixels, self.width)) / jnp.sqrt(pixels)}

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """Features of a batch."""
        images = examples["image"]
        return (images - 0.5).reshape(images.shape[0], -1) @ params["map"]

    def layers(self, params: Params) -> Params:
        """The map is the only layer."""
        return jax.tree.map(lambda leaf: 1, params)
