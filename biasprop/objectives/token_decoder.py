"""A light transformer from an encoder's tokens to pixels, for objectives that predict an image."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array, Float, Key

from biasprop.interfaces import HasTokens, Params, Spec
from biasprop.keys import at


def blueprint(encoder: Any, shape: tuple[int, ...], width: int, depth: int) -> Any:
    """Blueprint of a decoder of this width and depth for images of this shape."""
    from biasprop.nn import layers

    tokens = (shape[0] // encoder.patch) * (shape[1] // encoder.patch)
    return layers.Blueprint(layers.Transformer, (encoder.width, tokens, width, depth, 2, 4))


def init(key: Key[Array, ""], encoder: Any, spec: Spec, width: int, depth: int) -> Params:
    """Parameters of the decoder and of the map from its tokens to pixels."""
    from biasprop.nn import layers

    shape = spec["image"].shape
    pixels = encoder.patch**2 * shape[2]
    return {
        "decoder": layers.init(blueprint(encoder, shape, width, depth), at(key, 0)),
        "pixels": jax.random.normal(at(key, 2), (width, pixels)) / width**0.5,
    }


def predict_patches(
    encoder: Any, params: Params, extra: Params, images: Float[Array, "n h w c"], width: int, depth: int
) -> Float[Array, "n t p"]:
    """Patches predicted from images, in the pixel scale of encoder inputs."""
    from biasprop.nn import layers

    decoder = blueprint(encoder, images.shape[1:], width, depth)
    return layers.apply(decoder, extra["decoder"], encoder.tokens(params, images)) @ extra["pixels"]


def target_patches(encoder: Any, images: Float[Array, "n h w c"]) -> Float[Array, "n t p"]:
    """Patches to predict, in the pixel scale of encoder inputs."""
    from biasprop.nn import layers

    return layers.patchify(4 * (images - 0.5), encoder.patch)


def incompatibility(kind: str, encoder: Any) -> str | None:
    """Why an encoder has no tokens to decode, or None."""
    return None if isinstance(encoder, HasTokens) else f"{kind} needs an encoder with tokens; {encoder.kind} has none"
