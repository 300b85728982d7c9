"""Random views of an example (augmentation).

Views of an image are made by small resampling matrices and colour gains, without gathers and rolls.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Encoder, Example
from biasprop.keys import at_each
from biasprop.nn.xla_barriers import barrier

SYMMETRIES = ("flip", "transpose")
"""Fields of :class:`Augmentation` that are symmetries of a square, which not every kind of image has."""


class Augmentation(Component):
    """Ranges of random augmentation; 0 turns a lever off."""

    scale: Annotated[float, Field(ge=0, le=2)] = 0.22
    """Half-range of the log zoom along each axis."""
    shift: Annotated[float, Field(ge=0, le=1)] = 0.19
    """Largest displacement along an axis, in widths of the view."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability of a left-right flip and, independently, of an up-down flip."""
    transpose: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability of exchanging rows and columns; with both flips this gives all eight symmetries of the square."""
    gain: Annotated[float, Field(ge=0, le=2)] = 0.12
    """Sd of the log gain of each colour channel. Interacts with skin tone: strong colour augmentation makes features
    invariant to it."""
    offset: Annotated[float, Field(ge=0, le=1)] = 0.06
    """Sd of the offset of each colour channel, in units of the full range."""

    def view(self, key: Key[Array, ""], example: Example) -> Example:
        """One random view of one example: of its image, if there is one; other arrays are unchanged."""
        return example | {"image": self.view_image(key, example["image"])} if "image" in example else example

    def view_image(self, key: Key[Array, ""], image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """One random view of one image."""
        height, width, channels = image.shape
        subkeys = at_each(key, jnp.arange(6))
        zoom, shift, sign, swap = jax.vmap(lambda subkey: jax.random.uniform(subkey, (2,)))(
            subkeys[jnp.array([0, 1, 2, 5])]
        )
        zoom = jnp.exp(self.scale * (2 * zoom - 1))
        shift = self.shift * (2 * shift - 1)
        sign = jnp.where(sign < self.flip, -1.0, 1.0)
        rows = _resample(height, zoom[0] * sign[0], shift[0])
        columns = _resample(width, zoom[1] * sign[1], shift[1])
        planes = jnp.moveaxis(image, -1, 0)
        planes = jnp.where(swap[0] < self.transpose, planes.mT, planes)
        gain, offset = jax.vmap(lambda subkey: jax.random.normal(subkey, (channels,)))(subkeys[3:5])
        gain, offset = barrier(jnp.stack([jnp.exp(self.gain * gain), self.offset * offset]))[:, :, None, None]
        across = ((planes * gain + offset) @ columns.T).transpose(1, 2, 0)
        return (rows @ across.reshape(height, -1)).reshape(image.shape)


def without_views(kind: str, encoder: Encoder) -> str | None:
    """Why an objective that compares views cannot train an encoder: it reads nothing that has views; or None."""
    if "image" in encoder.reads:
        return None
    return f"{kind} compares random views of images; {encoder.kind} reads {', '.join(encoder.reads)} alone"


def _resample(size: int, zoom: Float[Array, ""], shift: Float[Array, ""]) -> Float[Array, "o i"]:
    """Matrix of linear interpolation along an axis of ``size`` pixels; edge pixels are repeated beyond the edge."""
    axis = (jnp.arange(size) + 0.5) / size - 0.5
    source = jnp.clip((axis / zoom + shift + 0.5) * size - 0.5, 0, size - 1)
    return jnp.maximum(1 - jnp.abs(source[:, None] - jnp.arange(size)[None, :]), 0)
