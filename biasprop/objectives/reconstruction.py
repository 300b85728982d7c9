"""Reconstruction through a bottleneck: a linear autoencoder, whose optimum is principal component analysis.

Of all maps to k features and linear maps back, those that lose the least squared error keep the k leading principal
components of the images (Baldi and Hornik 1989). The loss fixes the subspace, not the basis of the features in it.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from biasprop.component import Component
from biasprop.interfaces import Params
from biasprop.objectives import weighting


class Reconstruction(Component):
    """Predicts every pixel by one linear map of the features; with the encoder ``linear`` its answer is known."""

    kind: Literal["reconstruction"] = "reconstruction"

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Any, shape: tuple[int, int, int]) -> str | None:
        """Why an encoder of images of this shape cannot be trained by this objective, or None."""
        if encoder.features >= math.prod(shape):
            return f"{encoder.features} features of {math.prod(shape)} pixels are no bottleneck: copying loses nothing"
        return None

    def init(self, key: Key[Array, ""], encoder: Any, shape: tuple[int, int, int]) -> Params:
        """The map back to pixels and the image it starts from, which takes the part of the mean."""
        pixels = math.prod(shape)
        return {
            "map": jax.random.normal(key, (encoder.features, pixels)) / pixels**0.5,
            "offset": jnp.zeros(pixels),
        }

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        images: Float[Array, "n h w c"],
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error over all pixels; nothing in it is random."""
        pixels = (images - 0.5).reshape(images.shape[0], -1)
        told = encoder.apply(params, images) @ extra["map"] + extra["offset"]
        return weighting.mean((told - pixels) ** 2, weight)
