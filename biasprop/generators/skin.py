"""Skin colour as a function of melanin and blood, and the distribution of skin tone in a subgroup.

A closed-form fit of a diffusion model of skin (melanin in a 60 micrometre epidermis over a dermis with blood;
optical coefficients of S-SYNTH, Kim et al. 2024, and Jacques 1998) seen under D65; pigments add in optical density
(Tsumura et al. 1999), with a quadratic saturation term. The fit holds within .010 in linear sRGB and within 2.1 degrees
of ITA for melanosome fractions of .01 to .43 and blood fractions of .002 to .04.
"""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.nn.xla_barriers import barrier

PRESETS: dict[str, tuple[float, float]] = {
    "light": (50.0, 7.0),
    "dark": (-25.0, 12.0),
    "fitzpatrick_1": (58.0, 6.0),
    "fitzpatrick_2": (48.0, 6.0),
    "fitzpatrick_3": (35.0, 6.0),
    "fitzpatrick_4": (19.0, 8.0),
    "fitzpatrick_5": (-10.0, 12.0),
    "fitzpatrick_6": (-45.0, 12.0),
}
"""Preset -> mean and sd of ITA in degrees. ``light`` and ``dark`` stand for types I-II and V-VI."""

BLOOD = 0.010
"""Median blood volume fraction of skin, at which ITA was fitted to melanin."""


class Tone(Component):
    """Skin tone of one subgroup: a normal distribution of the individual typology angle (ITA) of lesion-free skin."""

    ita_mean: Annotated[float, Field(ge=-60, le=75)]
    """Mean ITA, degrees; above 55 very light, below -30 dark."""
    ita_sd: Annotated[float, Field(ge=0, le=30)] = 6.0
    """Standard deviation of ITA, degrees."""


TONES = {name: dict(zip(Tone.model_fields, values, strict=True)) for name, values in PRESETS.items()}
"""Preset -> fields of its tone."""


def melanosome_fraction(ita: Float[Array, "..."]) -> Float[Array, "..."]:
    """Epidermal melanosome volume fraction at an ITA in degrees (blood fraction .01); inverse of :func:`declared_ita`.

    Clipped to [.001, .55], the range that the fit supports.
    """
    root = (-165.37 + jnp.sqrt(165.37**2 + 239.52 * jnp.maximum(79.2 - ita, 0.0))) / 119.76
    return jnp.clip(root**2, 0.001, 0.55)


def declared_ita(fraction: Float[Array, "..."]) -> Float[Array, "..."]:
    """ITA in degrees at a melanosome fraction (fit, within 1.6 degrees, blood fraction .01)."""
    return 79.2 - 165.37 * jnp.sqrt(fraction) - 59.88 * fraction


def skin_colour(melanin: Float[Array, "*s"], blood: Float[Array, "..."]) -> Float[Array, "3 *s"]:
    """White-balanced linear sRGB of skin with these melanosome and blood volume fractions (closed-form fit).

    Channels come first, as everywhere inside a rendering.
    """
    b = jnp.sqrt(jnp.maximum(blood, 0.0))
    f = jnp.maximum(melanin, 0.0)
    exponents = (
        -0.2595 - 4.376 * f - 1.522 * b - 1.015 * f**2,
        -0.2019 - 8.327 * f - 4.661 * b + 0.067 * f**2,
        -0.4328 - 14.209 * f - 5.000 * b - 13.256 * f**2,
    )
    return 0.03 + jnp.exp(barrier(jnp.stack(exponents)))
