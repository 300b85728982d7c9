"""Who is scanned: laws of age, sex, body mass and smoking, and what of one patient determines the slice.

Sex acts through the size of the chest alone. Emphysema follows age, body mass and smoking; no law is indexed by race.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.generators import canvas
from biasprop.generators.ct_scanner import REFERENCE_DIAMETER, SCANNERS, Scanner
from biasprop.generators.laws import truncated_normal

LUNG_HU, LUNG_SD_HU, LUNG_HU_PER_YEAR = -870.0, 25.0, -1.0
"""Mean of inspired lung at 60 years, its sd between scans, and its change per year of age, HU."""
LOW_ATTENUATION, LOW_ATTENUATION_LOG_SD = 1.1, 1.2
"""Median percentage of lung below -950 HU in healthy never-smokers (published quartiles .5 and 2.5), and sd of
its logarithm."""
MAX_LOW_ATTENUATION = 60.0
"""Largest percentage of lung below -950 HU."""
EMPHYSEMA_PER_YEAR, EMPHYSEMA_PER_BMI, EMPHYSEMA_PER_PACK_YEAR = 0.02, -0.05, 0.025
"""Change of that logarithm per year of age, unit of body mass index and pack-year; only their signs are published."""
DIAMETER_PER_BMI, DIAMETER_BY_SEX = 0.6, 1.2
"""Change of the water-equivalent diameter of the chest per unit of body mass index, and half the difference between men
and women, cm."""

PATIENTS: dict[str, dict[str, float]] = {
    "woman": {"female": 1.0},
    "man": {"female": 0.0},
    "smoker": {"pack_years": 35.0},
    "never_smoker": {"pack_years": 0.0},
} | SCANNERS
"""Preset -> levers, of patients or of a scanner."""


class CTPatients(Scanner):
    """Patients of one subgroup and how they are scanned."""

    age_mean: Annotated[float, Field(ge=18, le=90)] = 62.0
    """Mean age in years, before truncation to 18 to 90."""
    age_sd: Annotated[float, Field(ge=0, le=40)] = 9.0
    """Sd of age in years, before truncation."""
    female: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of women."""
    bmi_mean: Annotated[float, Field(ge=16, le=45)] = 26.0
    """Mean body mass index, kg / m^2."""
    bmi_sd: Annotated[float, Field(ge=0, le=10)] = 4.0
    """Sd of the body mass index."""
    pack_years: Annotated[float, Field(ge=0, le=80)] = 15.0
    """Mean number of pack-years smoked, which is exponentially distributed."""


class Body(NamedTuple):
    """What of a patient and a breath determines the slice; scalars."""

    age: Float[Array, ""]
    """Years."""
    female: Float[Array, ""]
    """1 female, 0 male."""
    bmi: Float[Array, ""]
    """Body mass index, kg / m^2."""
    pack_years: Float[Array, ""]
    diameter: Float[Array, ""]
    """Water-equivalent diameter of the chest, cm."""
    lung: Float[Array, ""]
    """Mean of lung without emphysema, HU."""
    low_attenuation: Float[Array, ""]
    """Percentage of lung below -950 HU, before noise."""


def body(
    patients: CTPatients, normals: Float[Array, " 8"], chances: Float[Array, " 3"], breath: Float[Array, ""]
) -> Body:
    """One patient during one scan.

    Args:
        patients: laws of the subgroup, within which a twin keeps its ranks.
        normals: ranks of body mass and of emphysema; the others are not used.
        chances: uniforms of age, sex and smoking.
        breath: depth of inspiration, standard normal; deeper is darker.
    """
    age = truncated_normal(patients.age_mean, patients.age_sd, 18.0, 90.0, chances[0])
    female = (chances[1] < patients.female).astype(jnp.float32)
    bmi = patients.bmi_mean + patients.bmi_sd * normals[0]
    pack_years = -patients.pack_years * jnp.log1p(-jnp.minimum(chances[2], 0.999))
    older = age - 60
    emphysema = (
        EMPHYSEMA_PER_YEAR * older
        + EMPHYSEMA_PER_BMI * (bmi - 25)
        + EMPHYSEMA_PER_PACK_YEAR * pack_years
        + LOW_ATTENUATION_LOG_SD * normals[1]
    )
    return Body(
        *canvas.materialise(
            age,
            female,
            bmi,
            pack_years,
            REFERENCE_DIAMETER + DIAMETER_PER_BMI * (bmi - 26) + DIAMETER_BY_SEX * (1 - 2 * female),
            LUNG_HU + LUNG_HU_PER_YEAR * older - LUNG_SD_HU * breath,
            jnp.minimum(LOW_ATTENUATION * jnp.exp(emphysema), MAX_LOW_ATTENUATION),
        )
    )
