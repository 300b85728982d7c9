"""Drawing primitives shared by generators. All are smooth, per example, and can run inside a compiled scan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.nn.xla_barriers import barrier


def materialise(*scalars: Float[Array, ""]) -> Float[Array, " k"]:
    """Stack scalars behind one XLA barrier, so that they are not recomputed for every pixel."""
    return barrier(jnp.stack(scalars))


def normal(key: Key[Array, ""], latent: int, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Standard normals of one latent; ``latent`` is its frozen integer."""
    return jax.random.normal(keys.at(key, latent), shape)


def uniform(key: Key[Array, ""], latent: int, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Uniforms in [0, 1) of one latent."""
    return jax.random.uniform(keys.at(key, latent), shape)


def normals(key: Key[Array, ""], latents: Sequence[int], n: int) -> Float[Array, "l n"]:
    """The first ``n`` standard normals of several latents, equal to those of :func:`normal`.

    Drawn together, because on XLA:CPU the start of each draw costs more than the numbers it makes.
    """
    return jax.vmap(lambda latent_key: jax.random.normal(latent_key, (n,)))(keys.at_each(key, jnp.asarray(latents)))


def uniforms(key: Key[Array, ""], latents: Sequence[int], n: int) -> Float[Array, "l n"]:
    """The first ``n`` uniforms in [0, 1) of several latents, drawn together."""
    return jax.vmap(lambda latent_key: jax.random.uniform(latent_key, (n,)))(keys.at_each(key, jnp.asarray(latents)))


@functools.cache
def _marker_square(size: int, rim: int = 0) -> np.ndarray:
    side, edge = max(size // 8, 1), max(size // 16, 1)
    square = np.zeros((size, size), np.float32)
    square[size - edge - side - rim : size - edge + rim, edge - rim : edge + side + rim] = 1
    return square


def draw_marker(
    image: Float[Array, "*c h w"], present: Int[Array, ""], colour: float | Float[Array, "*c 1 1"]
) -> Float[Array, "*c h w"]:
    """Draw a marker if ``present``: a square of 1/8 of the view near the lower left corner."""
    return jnp.where(present * _marker_square(image.shape[-1]) > 0, colour, image)


def marker_contrast(image: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Difference between the marker square and the pixels around it, in the channel with the largest difference."""
    square, wider = (_marker_square(image.shape[0], rim)[..., None] for rim in (0, 1))
    inside = jnp.sum(square * image, (0, 1)) / np.sum(square)
    outside = jnp.sum((wider - square) * image, (0, 1)) / np.sum(wider - square)
    return jnp.max(jnp.abs(inside - outside))


def noise_sd(image: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Sd of the white noise in an image, in code values, from the upper half, which has no marker.

    Median of the absolute mixed second differences (x11 - x12 - x21 + x22) / 2, over .6745 (Donoho and Johnstone 1994,
    for the finest diagonal Haar wavelet): white noise keeps its sd, smooth anatomy cancels, and the median ignores
    outlines.
    """
    x = image[: image.shape[0] // 2]
    mixed = (x[:-1, :-1] - x[:-1, 1:] - x[1:, :-1] + x[1:, 1:]) / 2
    return jnp.median(jnp.abs(mixed)) / 0.6745


def grid(size: int, field: float | Float[Array, ""]) -> tuple[Float[Array, " w"], Float[Array, " h"]]:
    """Pixel-centre coordinates along x and y in the unit of ``field`` (width of the view), 0 at the centre."""
    axis = (jnp.arange(size) + 0.5) / size - 0.5
    return axis * field, axis * field


@functools.cache
def _basis(size: int, modes: int) -> np.ndarray:
    """Cosines and sines of integer frequency on ``size`` pixels: [size, 2 * modes + 1]."""
    angle = 2 * np.pi * np.outer((np.arange(size) + 0.5) / size, np.arange(1, modes + 1))
    return np.concatenate([np.ones((size, 1)), np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@functools.cache
def _amplitudes(modes: int, exponent: float, knee: float) -> np.ndarray:
    """Square root of the power of every pair of modes, scaled to pixel variance 1 and mean 0."""
    frequency = np.concatenate([[0], np.arange(1, modes + 1), np.arange(1, modes + 1)])
    power = (frequency[:, None] ** 2 + frequency[None, :] ** 2 + knee**2) ** (-exponent / 2)
    power[0, 0] = 0.0
    # A product of two sinusoids has mean square 1/4 and shares its frequency with 3 others; a sinusoid along one axis
    # has mean square 1/2 and shares it with 1 other, so it needs half the variance of the amplitude for equal power.
    share = np.where(frequency > 0, 0.5, 1.0)
    square = share[:, None] * share[None, :]
    power *= 0.25 / square
    power /= (power * square).sum()
    return np.sqrt(power).astype(np.float32)


def field_draws_shape(modes: int) -> tuple[int, int]:
    """Shape of the draws for :func:`gaussian_field` with this many modes per axis."""
    return 2 * modes + 1, 2 * modes + 1


def gaussian_field(
    draws: Float[Array, "k k"], size: int, *, exponent: float = 3.0, knee: float = 1.0
) -> Float[Array, "h w"]:
    """A stationary, periodic Gaussian random field of mean 0 and variance 1.

    Its power is proportional to ``(f^2 + knee^2)^(-exponent/2)`` for integer frequencies of at most ``modes`` cycles
    per view along each axis, else 0. It is exactly Gaussian, because every mode has a normal amplitude. Two products
    with constant matrices are cheap inside a compiled scan, where an FFT is not.

    Args:
        draws: standard normals of shape :func:`field_draws_shape`.
        size: pixels along a side.
        exponent: exponent of the power law.
        knee: frequency below which the power law is flat, cycles per view.
    """
    modes = draws.shape[0] // 2
    basis = jnp.asarray(_basis(size, modes))
    return basis @ (_amplitudes(modes, exponent, knee) * draws) @ basis.T


def harmonics(
    cosine: Float[Array, "h w"], sine: Float[Array, "h w"], draws: Float[Array, "2 k"], lowest: int = 2
) -> Float[Array, "h w"]:
    """Sum over orders k of ``k^-1.3 (n_k cos k theta + m_k sin k theta)``, scaled to unit variance: an outline.

    Multiples of the angle come from the addition theorem, without trigonometric functions.

    Args:
        cosine: of the angle theta at every pixel.
        sine: of the same angle.
        draws: standard normals n and m of every order.
        lowest: first order, at least 2 (1 is a shift); the others follow it.
    """
    k = np.arange(lowest, lowest + draws.shape[1])
    weight = k**-1.3 / np.sqrt((k**-2.6).sum())
    total = jnp.zeros_like(cosine)
    c, s = cosine, sine
    for order in range(2, int(k[-1]) + 1):
        c, s = c * cosine - s * sine, s * cosine + c * sine
        if (i := order - lowest) >= 0:
            total = total + weight[i] * (draws[0, i] * c + draws[1, i] * s)
    return total


@functools.cache
def cosines(size: int, count: int) -> np.ndarray:
    """The lowest cosines on ``size`` pixels, at most one per pixel, orthonormal: [size, count]."""
    k = np.arange(min(count, size))
    modes = np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, k)) * np.sqrt(2 / size)
    modes[:, 0] /= np.sqrt(2)
    return modes.astype(np.float32)


def blurred(image: Float[Array, "h w"], sd: float | Float[Array, ""]) -> Float[Array, "h w"]:
    """An image blurred with a Gaussian of this sd in pixels, which averages pixels of the image alone."""
    apart = np.arange(len(image))[:, None] - np.arange(len(image))[None, :]
    kernel = jnp.exp(-(apart**2) / (2 * jnp.maximum(sd, 0.05) ** 2))
    kernel = barrier(kernel / jnp.sum(kernel, axis=1, keepdims=True))
    return kernel @ image @ kernel.T


def union(
    part: Callable[..., Float[Array, "h w"]], scalars: Float[Array, "s k"], onto: Float[Array, "h w"]
) -> Float[Array, "h w"]:
    """The largest value of an image and of parts at every pixel, such as the share of it that any of them fills.

    The parts are drawn one after the other, because XLA:CPU does not vectorise the reduction of an array of all parts
    (for the vessels of a CT slice it took twenty times as long). The result is computed once however often it is used.

    Args:
        part: the image of one part, given its scalars.
        scalars: of every part, one column each; computed once.
        onto: the image.
    """
    return jax.lax.scan(lambda most, column: (jnp.maximum(most, part(*column)), None), onto, barrier(scalars).T)[0]


def srgb(linear: Float[Array, "..."]) -> Float[Array, "..."]:
    """Linear light in [0, 1] to sRGB code values in [0, 1] (IEC 61966-2-1)."""
    root = jnp.exp(jnp.log(jnp.maximum(linear, 1e-6)) / 2.4)  # jnp.power takes three times as long on XLA:CPU
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


def minor_axis_angle(grey: Float[Array, "h w"], weight: Float[Array, "h w"] | float = 1.0) -> Float[Array, ""]:
    """Direction in which an image changes least, as an angle to the rows in degrees in [-90, 90]; positive runs down to
    the right. It is the minor axis of the weighted structure tensor (Bigun and Granlund 1987)."""
    down, across = jnp.gradient(grey)
    mixed = jnp.sum(weight * across * down)
    return 0.5 * jnp.degrees(jnp.arctan2(-2 * mixed, jnp.sum(weight * (down**2 - across**2))))
