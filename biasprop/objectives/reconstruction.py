"""Reconstruction through a bottleneck: a linear autoencoder, whose optimum is principal component analysis.

Of all linear maps to k features and back, those of least squared error retain the k leading principal components of the
images (Baldi and Hornik 1989). The loss determines the subspace, not the basis of the features in it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec
from biasprop.objectives import weighting


class Reconstruction(Component):
    """Predicts every pixel by a linear map of the features; with the encoder ``linear`` the optimum is known."""

    kind: Literal["reconstruction"] = "reconstruction"

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Any, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        if "image" not in encoder.reads:
            return f"{self.kind} predicts images; {encoder.kind} reads {', '.join(encoder.reads)} alone"
        features, pixels = encoder.features(spec), spec["image"].size
        if features >= pixels:
            return (
                f"{features} features are no bottleneck for {pixels} pixel values: "
                "the image can be copied; use fewer features"
            )
        return None

    def init(self, key: Key[Array, ""], encoder: Any, spec: Spec) -> Params:
        """Parameters of the map to pixels, and an offset image that learns the mean."""
        pixels = spec["image"].size
        return {
            "map": jax.random.normal(key, (encoder.features(spec), pixels)) / pixels**0.5,
            "offset": jnp.zeros(pixels),
        }

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error over all pixels; deterministic."""
        images = examples["image"]
        pixels = (images - 0.5).reshape(images.shape[0], -1)
        predicted = encoder.apply(params, examples) @ extra["map"] + extra["offset"]
        return weighting.weighted_mean((predicted - pixels) ** 2, weight)
