"""A linear map of all pixels: the encoder for which results are known in closed form."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Params


class Linear(Component):
    """A linear map of the image minus mid-grey."""

    kind: Literal["linear"] = "linear"
    width: Annotated[int, Field(ge=1, le=4096)] = 16
    """Number of features."""

    drops_tokens: ClassVar[bool] = False

    @property
    def features(self) -> int:
        """Length of the feature vector."""
        return self.width

    def incompatibility(self, shape: tuple[int, int, int]) -> str | None:
        """None: every shape can be encoded."""
        return None

    def counts(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Number of parameters, and number of activations per image stored for the backward pass."""
        return shape[0] * shape[1] * shape[2] * self.width, self.width

    def init(self, key: Key[Array, ""], shape: tuple[int, int, int]) -> Params:
        """A random map that preserves the variance of white noise."""
        pixels = shape[0] * shape[1] * shape[2]
        return {"map": jax.random.normal(key, (pixels, self.width)) / jnp.sqrt(pixels)}

    def apply(self, params: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Features of a batch."""
        return (images - 0.5).reshape(images.shape[0], -1) @ params["map"]

    def layers(self, params: Params) -> Params:
        """The map is the only layer."""
        return jax.tree.map(lambda leaf: 1, params)
