"""Skin colour as a function of melanin and blood, and the distribution of skin tone in a subgroup.

A closed-form fit of a diffusion model of skin (melanin in a 60 micrometre epidermis over a dermis with blood;
optical coefficients of S-SYNTH, Kim et al. 2024, and Jacques 1998) seen under D65; pigments add in optical density
(Tsumura et al. 1999), with a quadratic saturation term. The fit holds within .010 in linear sRGB and within 2.1 degrees
of ITA for melanosome fractions of .01 to .43 and blood fractions of .002 to .04, that is, for an ITA of -55 to 62
degrees (:data:`FITTED_ITA`).

Laws of people are wide and reach beyond that. The rule: a law is not truncated, and skin is rendered at its ITA down to
-76 degrees (a fraction of .55), where the closed form is extrapolated and read back within 4 degrees; all that is
darker looks like this. Towards the light end the colour saturates, because skin without melanin has an ITA of 66.
The stored ITA is that of the law, also where skin is rendered at an end.
"""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.nn.xla_barriers import barrier

STYLISED: dict[str, tuple[float, float]] = {
    "light": (50.0, 7.0),
    "dark": (-25.0, 12.0),
    "fitzpatrick_1": (58.0, 6.0),
    "fitzpatrick_2": (48.0, 6.0),
    "fitzpatrick_3": (35.0, 6.0),
    "fitzpatrick_4": (19.0, 8.0),
    "fitzpatrick_5": (-10.0, 12.0),
    "fitzpatrick_6": (-45.0, 12.0),
}
"""Preset -> mean and sd of ITA in degrees: conventions, narrow and well apart, so that subgroups hardly overlap.
``light`` and ``dark`` stand for types I-II and V-VI."""


def _monk_sd(ita_mean: float) -> float:
    """Sd of ITA of a Monk class, degrees: linear in the mean, from 5 in the lightest to 29 in the darkest class."""
    return round(5 + (45 - ita_mean) * 24 / 93, 1)


PUBLISHED: dict[str, tuple[float, float]] = {
    "fst_1_upper_arm": (53.0, 10.0),
    "fst_2_upper_arm": (51.0, 12.0),
    "fst_3_upper_arm": (46.0, 10.0),
    "fst_4_upper_arm": (31.0, 11.0),
    "fst_5_upper_arm": (17.0, 15.0),
    "fst_6_upper_arm": (-9.0, 26.0),
    "fst_1_hand": (29.0, 11.0),
    "fst_2_hand": (36.0, 13.0),
    "fst_3_hand": (33.0, 14.0),
    "fst_4_hand": (17.0, 17.0),
    "fst_5_hand": (0.0, 18.0),
    "fst_6_hand": (-33.0, 35.0),
} | {
    f"monk_{letter}_forehead": (mean, _monk_sd(mean))
    for letter, mean in zip("bcdefghi", (42.0, 45.0, 40.0, 34.0, 22.0, 11.0, -9.0, -48.0), strict=True)
}
"""Preset -> mean and sd of ITA in degrees, as measured in people: broad laws that overlap.

Source: the OpenOximetry Repository (122 patients). ``fst_N_upper_arm`` and ``fst_N_hand`` are the inner upper arm and
the back of the hand of Fitzpatrick types I to VI, ``monk_X_forehead`` the forehead of Monk classes B to I. Means, and
the sds of Fitzpatrick types, are the published ones; of the sds of Monk classes only the range is, 5 to 29, and each is
put on the straight line through both ends (:func:`_monk_sd`). Beyond the darkest rendered skin lie 17 % of
``monk_i_forehead``, 11 % of ``fst_6_hand`` and at most .5 % of the others; beyond the fitted light end, 18 % of types I
and II (upper arm).
"""

PRESETS = STYLISED | PUBLISHED
"""Preset -> mean and sd of ITA in degrees."""

FITTED_ITA = (-55.0, 62.0)
"""ITA of the melanosome fractions to which the colour of skin was fitted, degrees."""

BLOOD = 0.010
"""Median blood volume fraction of skin, at which ITA was fitted to melanin."""


class Tone(Component):
    """Skin tone of one subgroup: a normal distribution of the individual typology angle (ITA) of lesion-free skin."""

    ita_mean: Annotated[float, Field(ge=-60, le=75)]
    """Mean ITA, degrees; above 55 very light, below -30 dark."""
    ita_sd: Annotated[float, Field(ge=0, le=40)] = 6.0
    """Standard deviation of ITA, degrees. Skin darker than -76 degrees is rendered at -76; above 62 the colour
    saturates."""


TONES = {name: dict(zip(Tone.model_fields, values, strict=True)) for name, values in PRESETS.items()}
"""Preset -> fields of its tone."""


def melanosome_fraction(ita: Float[Array, "..."]) -> Float[Array, "..."]:
    """Epidermal melanosome volume fraction at an ITA in degrees (blood fraction .01); inverse of :func:`declared_ita`.

    Clipped to [.001, .55], an ITA of 74 to -76 degrees: a little beyond :data:`FITTED_ITA`.
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
