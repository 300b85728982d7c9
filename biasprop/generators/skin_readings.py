"""What a ruler and a colorimeter would read off a photograph of a lesion."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.generators import canvas


def read(
    image: Float[Array, "h w 3"], mask: Float[Array, "h w"], field_of_view: float, *, lines: bool
) -> dict[str, Float[Array, ""]]:
    """Read the levers back from pixels.

    Args:
        image: sRGB code values.
        mask: lesion cover, as an annotator would outline it: where to look, not how dark or how sharp.

    Returns:
        ``ita`` of the skin in degrees, Weber ``contrast`` of the lesion's luminance, and the five cues: ``size``
        (diameter, mm), ``border`` (perimeter over that of the circle of the same area), ``asymmetry`` (offset of
        the dark centroid over the radius), ``variegation`` (relative sd of the pigment), ``edge`` (width, mm).
        In ``symmetric`` also the ``slope`` of the skin's lines, degrees.
    """
    linear = canvas.linear_light(image)
    x, y = canvas.grid(len(image), field_of_view)
    pixel = field_of_view / len(image)
    skin = (1 - mask) ** 8 + 1e-6
    skin_mean = jnp.sum(linear * skin[..., None], (0, 1)) / jnp.sum(skin)
    lesion_luminance = jnp.sum(mask * canvas.luminance(linear)) / jnp.maximum(jnp.sum(mask), 1e-6)

    # Optical density over what skin and light would give there: a plane fitted to the skin's own pixels.
    density = _above_plane(_smooth(_smooth(-jnp.log(jnp.maximum(linear[..., 0] * linear[..., 1], 1e-5)))), skin)
    near, core = mask > 0.05, mask > 0.5
    n = jnp.maximum(jnp.sum(core), 1)
    mean = jnp.maximum(jnp.sum(core * density) / n, 1e-2)
    cover = jnp.clip(2 * density / mean, 0, 1) * near  # full at half the mean: variegation inside is no border
    area = jnp.maximum(jnp.sum(cover), 1e-3)
    slope_y, slope_x = jnp.gradient(cover)
    perimeter = jnp.maximum(jnp.sum(jnp.sqrt(slope_x**2 + slope_y**2)), 1e-3)
    total = jnp.maximum(jnp.sum(cover * density), 1e-3)
    radius = pixel * jnp.sqrt(area / jnp.pi)

    def offset(axis: Float[Array, "h w"]) -> Float[Array, ""]:
        return jnp.sum(cover * density * axis) / total - jnp.sum(core * axis) / n

    read = {}
    if lines:
        read["slope"] = canvas.slope(jnp.log(jnp.maximum(linear[..., 1], 1e-3)), skin)
    # The fall-off at the rim is edge and a lean to one side is asymmetry; what is left is variegation.
    uneven = _above_plane(density / jnp.maximum(mask, 0.5), core.astype(jnp.float32))
    unevenness = jnp.sqrt(jnp.sum(core * uneven**2) / n)
    return read | {
        "ita": canvas.typology_angle(skin_mean),
        "contrast": 1 - lesion_luminance / canvas.luminance(skin_mean),
        "size": 2 * radius,
        "border": perimeter / (2 * jnp.sqrt(jnp.pi * area)),
        "asymmetry": jnp.hypot(offset(x[None, :]), offset(y[:, None])) / radius,
        "variegation": unevenness / mean,
        "edge": pixel * jnp.sum(cover * (1 - cover)) / perimeter,
    }


def _smooth(field: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Binomial 3 x 3 average, edges repeated."""
    for axis in (0, 1):
        padded = jnp.pad(field, [(1, 1) if axis == i else (0, 0) for i in (0, 1)], mode="edge")
        before, after = (jax.lax.slice_in_dim(padded, o, o + field.shape[axis], axis=axis) for o in (0, 2))
        field = 0.25 * before + 0.5 * field + 0.25 * after
    return field


def _above_plane(field: Float[Array, "h w"], weight: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """What is left of a field after the weighted least-squares plane."""
    size = field.shape[0]
    x, y = canvas.grid(size, 1.0)
    design = jnp.stack([jnp.ones((size, size)), *jnp.meshgrid(x, y)], axis=-1).reshape(-1, 3)
    weighted = design * weight.reshape(-1, 1)
    plane = jnp.linalg.solve(weighted.T @ design + 1e-6 * jnp.eye(3), weighted.T @ field.reshape(-1))
    return field - (design @ plane).reshape(size, size)
