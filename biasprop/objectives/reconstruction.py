"""Reconstruction through a bottleneck: a linear autoencoder, whose optimum is principal component analysis.

Of all linear maps to k features and back, those of least squared error retain the k leading principal components of the
images (Baldi and Hornik 1989). The loss determines the subspace, not the basis of the features in it.
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
    """Predicts every pixel by a linear map of the features; with the encoder ``linear`` the optimum is known."""

    kind: Literal["reconstruction"] = "reconstruction"

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Any, shape: tuple[int, int, int]) -> str | None:
        """Why this objective cannot train this encoder on images of this shape, or None."""
        if encoder.features >= math.prod(shape):
            return (
                f"{encoder.features} features are no bottleneck for {math.prod(shape)} pixel values: "
                "the image can be copied; use fewer features"
            )
        return None

    def init(self, key: Key[Array, ""], encoder: Any, shape: tuple[int, int, int]) -> Params:
        """Parameters of the map to pixels, and an offset image that learns the mean."""
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
        """Mean squared error over all pixels; deterministic."""
        pixels = (images - 0.5).reshape(images.shape[0], -1)
        predicted = encoder.apply(params, images) @ extra["map"] + extra["offset"]
        return weighting.weighted_mean((predicted - pixels) ** 2, weight)
