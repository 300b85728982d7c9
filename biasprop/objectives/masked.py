"""Masked-autoencoder pretraining: predict hidden patches from visible ones (MAE, He et al. 2022)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Encoder, Example, HasTokens, Params, Spec
from biasprop.keys import at
from biasprop.objectives import token_decoder, visible_tokens


class Masked(Component):
    """MAE with a light decoder; needs an encoder that can drop tokens."""

    kind: Literal["masked"] = "masked"
    hidden_percent: Annotated[int, Field(ge=5, le=95)] = 75
    """Percentage of hidden patches; an integer, because it determines an array shape."""
    target: Literal["pixels", "standardised"] = "pixels"
    """Predict pixel values, or each patch standardised by its own mean and sd."""
    decoder_width: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 32
    """Width of the decoder; even, because it has two heads."""
    decoder_depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Number of decoder blocks."""

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Encoder, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        if not isinstance(encoder, HasTokens):
            return token_decoder.incompatibility(self.kind, encoder)
        return visible_tokens.incompatibility(self.kind, encoder, spec, self.hidden_percent)

    def init(self, key: Key[Array, ""], encoder: HasTokens, spec: Spec) -> Params:
        """Parameters of the decoder, the mask token and the map to pixels."""
        token = 0.02 * jax.random.normal(at(key, 1), (encoder.width,))
        return token_decoder.init(key, encoder, spec, self.decoder_width, self.decoder_depth) | {"token": token}

    def loss(
        self,
        encoder: HasTokens,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error over the hidden patches; every image has its own mask."""
        from biasprop.nn import layers

        images = examples["image"]
        patches = layers.patchify(4 * (images - 0.5), encoder.patch)
        n, t, _ = patches.shape
        pick = visible_tokens.selection(key, n, t, self.hidden_percent)
        tokens = encoder.tokens(params, images, lambda x: visible_tokens.selected(pick, x))
        hidden = 1 - pick.sum(axis=1)
        full = jnp.einsum("nst,nsd->ntd", pick, tokens) + hidden[..., None] * extra["token"]
        decoder = token_decoder.blueprint(encoder, images.shape[1:], self.decoder_width, self.decoder_depth)
        predicted = layers.apply(decoder, extra["decoder"], full) @ extra["pixels"]
        if self.target == "standardised":
            mean = patches.mean(axis=-1, keepdims=True)
            patches = (patches - mean) / jnp.sqrt(patches.var(axis=-1, keepdims=True) + 1e-3)
        error = jnp.mean((predicted - patches) ** 2, axis=-1)
        error = error * hidden
        return jnp.sum(error if weight is None else weight[:, None] * error) / jnp.sum(hidden)
