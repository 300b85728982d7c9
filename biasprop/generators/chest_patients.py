"""Who is filmed: laws of age, sex and body mass, deprivation and site, and the body of one patient."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.generators import canvas, chest_anatomy
from biasprop.generators.chest_anatomy import Body
from biasprop.generators.laws import truncated_normal

BREAST_CM, THYMUS_SHARE = 4.0, 0.6
"""Median thickness of a breast, cm (log-normal, sd .35), and share of infants with a thymic sail."""
SUPINE_BELOW_3_YEARS = 0.95
"""Least P(anteroposterior) below three years."""
VOLTAGE_DEFICIT, VOLTAGE_YEARS = 0.44, 10.0
"""Relative deficit of the tube voltage at birth, and time constant of its approach to that of adults, years. At 110 kV
for adults it is 62 kV in newborns and 81 at 5 years (European guidelines, EUR 16261: 60 to 65 kV in newborns, 60 to 80
in children without a grid)."""
REFERENCE_VOLTAGE, ENERGY_EXPONENT = 110.0, 0.65
"""Tube voltage at which the effective energy is that of the attenuations, kV, and exponent of its growth with voltage:
the mean energies of the radiation qualities RQA 5 and RQA 9 (IEC 61267) are some 53 keV at 70 kV and 76 at 120."""
DEPRIVED_SUPINE, DEPRIVED_SCATTER, DEPRIVED_NOISE, DEPRIVED_SEVERITY = 0.4, 0.10, 0.4, 0.5
"""At a deprivation of 1: added P(anteroposterior), added scatter fraction, relative increase in the noise's sd and in
the severity of the diseased. Conventions: the last two are those of the presets ``acquisition_confounded`` and
``late_presentation`` of shifts."""

PATIENTS: dict[str, dict[str, float]] = {
    "infant": {"age_mean": 0.7, "age_sd": 0.5, "bmi_mean": 21.0},
    "child": {"age_mean": 3.0, "age_sd": 1.2, "bmi_mean": 21.0},
    "adult": {"age_mean": 50.0, "age_sd": 14.0},
    "woman": {"age_mean": 50.0, "age_sd": 14.0, "female": 1.0},
    "man": {"age_mean": 50.0, "age_sd": 14.0, "female": 0.0},
}
"""Preset -> levers; ``child`` is 1 to 5 years, the ages of the public paediatric set (Kermany et al. 2018)."""


class Patients(Component):
    """Patients of one subgroup and how they are imaged: laws of age, sex and body mass, deprivation, and site."""

    age_mean: Annotated[float, Field(ge=0, le=90)] = 35.0
    """Mean age in years, before truncation to 0 to 90."""
    age_sd: Annotated[float, Field(ge=0, le=40)] = 20.0
    """Sd of age in years, before truncation."""
    female: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of females."""
    bmi_mean: Annotated[float, Field(ge=15, le=45)] = 25.0
    """Mean body mass index, kg / m^2; a child has the fat, relative to its width, of an adult of the same rank."""
    bmi_sd: Annotated[float, Field(ge=0, le=10)] = 4.0
    """Sd of the body mass index."""
    deprivation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Socioeconomic deprivation: more anteroposterior films, scatter and noise, and later presentation."""
    anteroposterior: Annotated[float, Field(ge=0, le=1)] = 0.2
    """P(the film is anteroposterior and supine), from three years of age; below it is at least .95."""
    scatter: Annotated[float, Field(ge=0, le=0.9)] = 0.45
    """Fraction of detected radiation that is scattered (lung without a grid: .3 to .6)."""
    tube_voltage: Annotated[float, Field(ge=60, le=150)] = 110.0
    """Peak tube voltage for adults, kV; a child's is lower, down to .56 of it at birth."""
    contrast: Annotated[float, Field(ge=0.5, le=5)] = 2.0
    """Slope of the site's look-up table."""
    brightness: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Shift of the site's look-up table, log units of intensity; higher is whiter."""

    def late(self) -> float | Float[Array, ""]:
        """Relative increase in the severity of the diseased, who present later."""
        return DEPRIVED_SEVERITY * self.deprivation

    def noise(self) -> float | Float[Array, ""]:
        """Factor on the sd of the noise."""
        return 1 + DEPRIVED_NOISE * self.deprivation

    def scattered(self) -> float | Float[Array, ""]:
        """Fraction of detected radiation that is scattered."""
        return jnp.minimum(self.scatter + DEPRIVED_SCATTER * self.deprivation, 0.95)

    def frontal(self, age: Float[Array, ""]) -> Float[Array, ""]:
        """P(anteroposterior) at an age in years."""
        asked = self.anteroposterior + DEPRIVED_SUPINE * self.deprivation
        return jnp.maximum(asked, SUPINE_BELOW_3_YEARS * (age < 3))

    def energy(self, age: Float[Array, ""]) -> Float[Array, ""]:
        """Effective energy of the beam at an age in years, keV."""
        voltage = self.tube_voltage * (1 - VOLTAGE_DEFICIT * jnp.exp(-age / VOLTAGE_YEARS))
        return chest_anatomy.REFERENCE_ENERGY * (voltage / REFERENCE_VOLTAGE) ** ENERGY_EXPONENT


def body(
    patients: Patients,
    normals: Float[Array, " 8"],
    chances: Float[Array, " 4"],
    cues: Float[Array, " 4"],
    magnification: Float[Array, ""],
) -> Body:
    """The body of one patient and its position.

    Args:
        patients: laws of the subgroup, within which a twin keeps its ranks.
        normals: ranks of body mass, width, inspiration, position (right, down) and breasts.
        chances: uniforms of age, sex, projection and thymus.
        cues: of cardiomegaly: width and roundness of the heart, width of the vascular pedicle, and vascular congestion.
        magnification: of the heart on anteroposterior films.
    """
    mass, wide, breath, right, down, breast = normals[:6]
    width, roundness, pedicle, congestion = cues
    age = truncated_normal(patients.age_mean, patients.age_sd, 0.0, 90.0, chances[0])
    female = (chances[1] < patients.female).astype(jnp.float32)
    supine = (chances[2] < patients.frontal(age)).astype(jnp.float32)
    ratio = chest_anatomy.cardiothoracic_ratio(age, female) + chest_anatomy.RATIO_SD * chest_anatomy.enlargement(width)
    relative_width = 1 + chest_anatomy.WIDTH_SD / chest_anatomy.ADULT_WIDTH * wide
    scalars = {
        "age": age,
        "female": female,
        "bmi": patients.bmi_mean + patients.bmi_sd * mass,
        "width": chest_anatomy.thoracic_width(age) * relative_width,
        "ratio": ratio * (1 + supine * (magnification - 1)),
        "breast": BREAST_CM * jnp.exp(0.35 * breast) * female * jnp.clip((age - 11) / 3, 0, 1),
        "thymus": (chances[3] < THYMUS_SHARE) * jnp.exp(-((age / 2.2) ** 2)),
        "supine": supine,
        "inspiration": breath,
        "short_axis": jnp.exp(0.04 * roundness),
        "pedicle": jnp.exp(0.07 * pedicle) * (1 + 0.15 * supine),
        "vessels": jnp.exp(0.25 * congestion),
        "energy": patients.energy(age),
    }
    values = canvas.materialise(*scalars.values(), 0.02 * right, 0.02 * down)
    return Body(**dict(zip(scalars, values, strict=False)), shift=values[-2:])
