"""Two random views of an image, as small resampling matrices and colour gains: no gathers, no rolls."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.keys import at


class Augmentation(Component):
    """What a view may change. Zero is off for every lever."""

    scale: Annotated[float, Field(ge=0, le=2)] = 0.22
    """Half-range of the log of the axis-wise zoom."""
    shift: Annotated[float, Field(ge=0, le=1)] = 0.19
    """Largest displacement along an axis, in widths of the view."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Chance of a left-right flip, and apart from it of an up-down flip."""
    transpose: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Chance of exchanging rows and columns; with both flips, all eight symmetries of the square."""
    gain: Annotated[float, Field(ge=0, le=2)] = 0.12
    """Sd of the log gain of each colour channel: how much colour the views may disagree about. Interacts with skin
    tone, because a view whose colour is no longer the skin's cannot teach it."""
    offset: Annotated[float, Field(ge=0, le=1)] = 0.06
    """Sd of the offset of each colour channel, in units of the full range."""

    def view(self, key: Key[Array, ""], image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        """One random view of one image."""
        height, width, channels = image.shape
        zoom = jnp.exp(self.scale * jax.random.uniform(at(key, 0), (2,), minval=-1, maxval=1))
        shift = self.shift * jax.random.uniform(at(key, 1), (2,), minval=-1, maxval=1)
        sign = jnp.where(jax.random.uniform(at(key, 2), (2,)) < self.flip, -1.0, 1.0)
        rows = _resample(height, zoom[0] * sign[0], shift[0])
        columns = _resample(width, zoom[1] * sign[1], shift[1])
        moved = jnp.einsum("yi,ijc->yjc", rows, image)
        moved = jnp.einsum("xj,yjc->yxc", columns, moved)
        moved = jnp.where(jax.random.uniform(at(key, 5)) < self.transpose, moved.swapaxes(0, 1), moved)
        gain = jnp.exp(self.gain * jax.random.normal(at(key, 3), (channels,)))
        offset = self.offset * jax.random.normal(at(key, 4), (channels,))
        return moved * gain + offset


def _resample(size: int, zoom: Float[Array, ""], shift: Float[Array, ""]) -> Float[Array, "o i"]:
    """Linear interpolation of ``size`` pixels as a matrix; beyond the edge the edge pixel is repeated."""
    axis = (jnp.arange(size) + 0.5) / size - 0.5
    source = jnp.clip((axis / zoom + shift + 0.5) * size - 0.5, 0, size - 1)
    return jnp.maximum(1 - jnp.abs(source[:, None] - jnp.arange(size)[None, :]), 0)
