"""Drawing primitives that generators share. Everything is smooth, per example and safe inside a compiled scan."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.nn.xla_barriers import barrier


def once(*numbers: Float[Array, ""]) -> Float[Array, " k"]:
    """Numbers of a whole image, settled together."""
    return barrier(jnp.stack(numbers))


def normal(key: Key[Array, ""], latent: int, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Standard normals of one latent; ``latent`` is its frozen integer."""
    return jax.random.normal(keys.at(key, latent), shape)


def uniform(key: Key[Array, ""], latent: int, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Uniforms in [0, 1) of one latent."""
    return jax.random.uniform(keys.at(key, latent), shape)


def normals(key: Key[Array, ""], latents: Sequence[int], n: int) -> Float[Array, "l n"]:
    """The first ``n`` standard normals of several latents, the same that :func:`normal` gives of each.

    Drawn together: on XLA:CPU every draw is a loop whose start costs more than the numbers it makes.
    """
    return jax.vmap(lambda own: jax.random.normal(own, (n,)))(keys.at_each(key, jnp.asarray(latents)))


def uniforms(key: Key[Array, ""], latents: Sequence[int], n: int) -> Float[Array, "l n"]:
    """The first ``n`` uniforms in [0, 1) of several latents, drawn together."""
    return jax.vmap(lambda own: jax.random.uniform(own, (n,)))(keys.at_each(key, jnp.asarray(latents)))


@functools.cache
def _marker(size: int, rim: int = 0) -> np.ndarray:
    side, edge = max(size // 8, 1), max(size // 16, 1)
    place = np.zeros((size, size), np.float32)
    place[size - edge - side - rim : size - edge + rim, edge - rim : edge + side + rim] = 1
    return place


def mark(
    image: Float[Array, "*c h w"], present: Int[Array, ""], colour: float | Float[Array, "*c 1 1"]
) -> Float[Array, "*c h w"]:
    """Put a marker into an image, a square of an eighth of the view by the lower left corner, where there is one."""
    return jnp.where(present * _marker(image.shape[-1]) > 0, colour, image)


def marked(image: Float[Array, "h w c"]) -> Float[Array, ""]:
    """How far the place of a marker differs from the pixels around it, in the channel in which it differs most."""
    place, around = (_marker(image.shape[0], rim)[..., None] for rim in (0, 1))
    inside = jnp.sum(place * image, (0, 1)) / np.sum(place)
    outside = jnp.sum((around - place) * image, (0, 1)) / np.sum(around - place)
    return jnp.max(jnp.abs(inside - outside))


def grain(image: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Sd of white noise in an image, in code values, the place of a marker left out.

    Median of the absolute mixed second differences (x11 - x12 - x21 + x22) / 2, over .6745 (Donoho and Johnstone 1994,
    for the finest diagonal wavelet of Haar): white noise keeps its sd in them and smooth anatomy cancels, while the
    median leaves out outlines.
    """
    x = image[: image.shape[0] // 2]
    mixed = (x[:-1, :-1] - x[:-1, 1:] - x[1:, :-1] + x[1:, 1:]) / 2
    return jnp.median(jnp.abs(mixed)) / 0.6745


def grid(size: int, field: float | Float[Array, ""]) -> tuple[Float[Array, " w"], Float[Array, " h"]]:
    """Pixel-centre coordinates along x and along y, in the unit of ``field`` (width of the view), 0 in the middle."""
    axis = (jnp.arange(size) + 0.5) / size - 0.5
    return axis * field, axis * field


@functools.cache
def _basis(size: int, modes: int) -> np.ndarray:
    """Cosines and sines of integer frequency on ``size`` pixels: [size, 2 * modes + 1]."""
    angle = 2 * np.pi * np.outer((np.arange(size) + 0.5) / size, np.arange(1, modes + 1))
    return np.concatenate([np.ones((size, 1)), np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@functools.cache
def _amplitudes(modes: int, exponent: float, knee: float) -> np.ndarray:
    """Square root of the power of every pair of modes, scaled to a pixel variance of 1 and mean 0."""
    frequency = np.concatenate([[0], np.arange(1, modes + 1), np.arange(1, modes + 1)])
    power = (frequency[:, None] ** 2 + frequency[None, :] ** 2 + knee**2) ** (-exponent / 2)
    power[0, 0] = 0.0
    # A product of two sinusoids has mean square 1/4 and shares a frequency with 3 others, a sinusoid along one axis has
    # mean square 1/2 and shares it with 1; so it needs half the amplitude's variance for the same power.
    share = np.where(frequency > 0, 0.5, 1.0)
    square = share[:, None] * share[None, :]
    power *= 0.25 / square
    power /= (power * square).sum()
    return np.sqrt(power).astype(np.float32)


def modes_of(modes: int) -> tuple[int, int]:
    """Shape of the draws of a field with so many modes along an axis."""
    return 2 * modes + 1, 2 * modes + 1


def gaussian_field(
    draws: Float[Array, "k k"], size: int, *, exponent: float = 3.0, knee: float = 1.0
) -> Float[Array, "h w"]:
    """A stationary, torus-periodic Gaussian random field of mean 0 and variance 1.

    Its power is proportional to ``(f^2 + knee^2)^(-exponent/2)`` over integer frequencies up to ``modes`` cycles a
    view in either axis and 0 beyond. Gaussian exactly, because every mode has a normal amplitude; two products with
    constant matrices make it, so it is cheap inside a compiled scan where an FFT is not.

    Args:
        draws: standard normals, as many as :func:`modes_of` says.
        size: pixels along a side.
        exponent: of the power law.
        knee: frequency at which it flattens, cycles a view.
    """
    modes = draws.shape[0] // 2
    basis = jnp.asarray(_basis(size, modes))
    return basis @ (_amplitudes(modes, exponent, knee) * draws) @ basis.T


def srgb(linear: Float[Array, "..."]) -> Float[Array, "..."]:
    """Linear light in [0, 1] to sRGB code values in [0, 1] (IEC 61966-2-1)."""
    root = jnp.exp(jnp.log(jnp.maximum(linear, 1e-6)) / 2.4)  # a power is three times as slow on XLA:CPU
    return jnp.where(linear <= 0.0031308, 12.92 * linear, 1.055 * root - 0.055)


def linear_light(code: Float[Array, "..."]) -> Float[Array, "..."]:
    """sRGB code values in [0, 1] to linear light, the inverse of :func:`srgb`."""
    return jnp.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    dtype=np.float32,
)
_WHITE = np.array([0.95047, 1.0, 1.08883], dtype=np.float32)


def luminance(linear: Float[Array, "... 3"]) -> Float[Array, "..."]:
    """Relative luminance Y of linear sRGB."""
    return linear @ _XYZ[1]


def lab(linear: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """CIE L*a*b* (D65) of linear sRGB."""
    ratio = linear @ _XYZ.T / _WHITE
    f = jnp.where(ratio > 0.008856, jnp.cbrt(jnp.maximum(ratio, 1e-9)), 7.787 * ratio + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(linear: Float[Array, "... 3"]) -> Float[Array, "..."]:
    """Individual typology angle in degrees, ``atan2(L* - 50, b*)`` (Chardon 1991)."""
    colour = lab(linear)
    return jnp.degrees(jnp.arctan2(colour[..., 0] - 50, colour[..., 2]))


def slope(grey: Float[Array, "h w"], weight: Float[Array, "h w"] | float = 1.0) -> Float[Array, ""]:
    """Direction along which an image changes least, degrees in [-90, 90] from the rows: the minor axis of the weighted
    structure tensor (Bigun and Granlund 1987). Positive runs down to the right."""
    down, across = jnp.gradient(grey)
    mixed = jnp.sum(weight * across * down)
    return 0.5 * jnp.degrees(jnp.arctan2(-2 * mixed, jnp.sum(weight * (down**2 - across**2))))
