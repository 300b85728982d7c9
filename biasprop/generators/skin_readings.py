"""Estimates of skin tone and lesion cues from the pixels of a photograph."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.generators import canvas


def measure(
    image: Float[Array, "h w 3"], mask: Float[Array, "h w"], field_of_view: float
) -> dict[str, Float[Array, ""]]:
    """Estimate the levers from pixels.

    Args:
        image: sRGB code values.
        mask: lesion cover, as an annotator would outline it; it locates the lesion and carries no cue values.
        field_of_view: width of the view, mm.

    Returns:
        ``ita`` of the skin in degrees, Weber ``contrast`` of the lesion's luminance, and the five cues: ``size``
        (diameter, mm), ``border`` (perimeter over that of the circle of the same area), ``asymmetry`` (offset of
        the dark centroid over the radius), ``variegation`` (relative sd of the pigment), ``edge`` (width, mm).
    """
    linear = canvas.linear_light(image)
    x, y = canvas.grid(len(image), field_of_view)
    pixel = field_of_view / len(image)
    skin = _skin_weight(mask)
    skin_mean = jnp.sum(linear * skin[..., None], (0, 1)) / jnp.sum(skin)
    lesion_luminance = jnp.sum(mask * canvas.luminance(linear)) / jnp.maximum(jnp.sum(mask), 1e-6)

    # Optical density above a plane fitted to skin pixels, which accounts for skin tone and illumination.
    density = _plane_residual(_smooth(_smooth(-jnp.log(jnp.maximum(linear[..., 0] * linear[..., 1], 1e-5)))), skin)
    near, core = mask > 0.05, mask > 0.5
    n = jnp.maximum(jnp.sum(core), 1)
    mean = jnp.maximum(jnp.sum(core * density) / n, 1e-2)
    cover = (
        jnp.clip(2 * density / mean, 0, 1) * near
    )  # 1 from half the mean, so that variegation inside is not counted as border
    area = jnp.maximum(jnp.sum(cover), 1e-3)
    slope_y, slope_x = jnp.gradient(cover)
    perimeter = jnp.maximum(jnp.sum(jnp.sqrt(slope_x**2 + slope_y**2)), 1e-3)
    total = jnp.maximum(jnp.sum(cover * density), 1e-3)
    radius = pixel * jnp.sqrt(area / jnp.pi)

    def offset(axis: Float[Array, "h w"]) -> Float[Array, ""]:
        return jnp.sum(cover * density * axis) / total - jnp.sum(core * axis) / n

    # Fall-off at the rim is edge and a gradient is asymmetry; the rest is variegation.
    uneven = _plane_residual(density / jnp.maximum(mask, 0.5), core.astype(jnp.float32))
    unevenness = jnp.sqrt(jnp.sum(core * uneven**2) / n)
    return {
        "ita": canvas.typology_angle(skin_mean),
        "contrast": 1 - lesion_luminance / canvas.luminance(skin_mean),
        "size": 2 * radius,
        "border": perimeter / (2 * jnp.sqrt(jnp.pi * area)),
        "asymmetry": jnp.hypot(offset(x[None, :]), offset(y[:, None])) / radius,
        "variegation": unevenness / mean,
        "edge": pixel * jnp.sum(cover * (1 - cover)) / perimeter,
    }


def line_slope(image: Float[Array, "h w 3"], mask: Float[Array, "h w"]) -> Float[Array, ""]:
    """Slope of the skin lines outside the lesion, degrees, from sRGB code values and the lesion cover."""
    green = canvas.linear_light(image)[..., 1]
    return canvas.minor_axis_angle(jnp.log(jnp.maximum(green, 1e-3)), _skin_weight(mask))


def _skin_weight(mask: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Weight of each pixel as skin: 1 outside the lesion, and soon near 0 inside it."""
    return (1 - mask) ** 8 + 1e-6


def _smooth(field: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Binomial 3 x 3 average; edge pixels are repeated."""
    for axis in (0, 1):
        padded = jnp.pad(field, [(1, 1) if axis == i else (0, 0) for i in (0, 1)], mode="edge")
        before, after = (jax.lax.slice_in_dim(padded, o, o + field.shape[axis], axis=axis) for o in (0, 2))
        field = 0.25 * before + 0.5 * field + 0.25 * after
    return field


def _plane_residual(field: Float[Array, "h w"], weight: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Residual of a field from its weighted least-squares plane."""
    size = field.shape[0]
    x, y = canvas.grid(size, 1.0)
    design = jnp.stack([jnp.ones((size, size)), *jnp.meshgrid(x, y)], axis=-1).reshape(-1, 3)
    weighted = design * weight.reshape(-1, 1)
    plane = jnp.linalg.solve(weighted.T @ design + 1e-6 * jnp.eye(3), weighted.T @ field.reshape(-1))
    return field - (design @ plane).reshape(size, size)
