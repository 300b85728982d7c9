"""Denoising pretraining: predict an image from a corrupted copy (Vincent et al. 2010)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec
from biasprop.keys import at
from biasprop.objectives import token_decoder, weighting


class Denoising(Component):
    """Denoising autoencoder with a light decoder; needs an encoder with tokens."""

    kind: Literal["denoising"] = "denoising"
    noise: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Sd of the white noise added to every pixel, in units of the full range."""
    erased: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Probability that a pixel is set to mid-grey in all channels (masking noise)."""
    decoder_width: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 32
    """Width of the decoder; even, because it has two heads."""
    decoder_depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Number of decoder blocks."""

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Any, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        return token_decoder.incompatibility(self.kind, encoder)

    def init(self, key: Key[Array, ""], encoder: Any, spec: Spec) -> Params:
        """Parameters of the decoder and of the map to pixels."""
        return token_decoder.init(key, encoder, spec, self.decoder_width, self.decoder_depth)

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error over all pixels; every image has its own corruption."""
        images = examples["image"]
        corrupted = self.corrupted(key, images)
        predicted = token_decoder.predict_patches(
            encoder, params, extra, corrupted, self.decoder_width, self.decoder_depth
        )
        return weighting.weighted_mean((predicted - token_decoder.target_patches(encoder, images)) ** 2, weight)

    def corrupted(self, key: Key[Array, ""], images: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """The images with erased pixels, and noise on all others."""
        noisy = images + self.noise * jax.random.normal(at(key, 0), images.shape)
        erased = jax.random.uniform(at(key, 1), (*images.shape[:3], 1)) < self.erased
        return jnp.where(erased, 0.5, noisy)
