"""Whose brain is scanned and how: laws of age and sex, sequence and scanner, and the head of one patient."""

from __future__ import annotations

from typing import Annotated, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.generators import brain_anatomy, canvas
from biasprop.generators.brain_anatomy import Head
from biasprop.generators.laws import truncated_normal

YOUNGEST, OLDEST = 18.0, 90.0
"""Ages, years; the myelination of children is not modelled."""

PATIENTS: dict[str, dict[str, float | str]] = {
    "young": {"age_mean": 30.0, "age_sd": 6.0},
    "old": {"age_mean": 75.0, "age_sd": 6.0},
    "woman": {"female": 1.0},
    "man": {"female": 0.0},
    "t1w": {"sequence": "t1w"},
    "t2w": {"sequence": "t2w"},
    "flair": {"sequence": "flair"},
    "dwi": {"sequence": "dwi"},
    "low_field": {"field_strength": 1.5},
    "high_field": {"field_strength": 3.0},
}
"""Preset -> levers."""


class Patients(Component):
    """Patients of one subgroup and how they are scanned."""

    age_mean: Annotated[float, Field(ge=18, le=90)] = 50.0
    """Mean age in years, before truncation to 18 to 90."""
    age_sd: Annotated[float, Field(ge=0, le=40)] = 15.0
    """Sd of age in years, before truncation."""
    female: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of females."""
    sequence: Literal["t1w", "t2w", "flair", "dwi"] = "flair"
    """Spin echo weighted by T1 (with contrast agent) or T2, fluid-attenuated inversion recovery, or diffusion-weighted
    at 1000 s/mm^2."""
    field_strength: Annotated[float, Field(ge=1.5, le=3)] = 1.5
    """Tesla: longer T1, and noise that is lower in proportion."""
    echo_time: Annotated[float, Field(ge=0.5, le=1.5)] = 1.0
    """Factor on the sequence's echo time."""
    white_matter_t1: Annotated[float, Field(ge=0.7, le=1.3)] = 1.0
    """Factor on T1 of white matter, which differs between the methods of sites (published at 3 T: .6 to 1.1 s)."""
    noise: Annotated[float, Field(ge=0, le=0.1)] = 0.01
    """Sd of the noise in each of the two channels of the receiver at 1.5 T, relative to the signal of fully relaxed
    water."""
    nonuniformity: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Range of the receiver's sensitivity over the image: .2 is .90 to 1.10."""
    gain: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Log of the site's factor on all intensities, whose unit is arbitrary."""


def head(patients: Patients, ranks: Float[Array, " 8"], chances: Float[Array, " 2"]) -> Head:
    """The head of one patient and its position.

    Args:
        patients: laws of the subgroup, within which a twin keeps its ranks.
        ranks: standard normals of intracranial volume, atrophy, ventricles, hyperintensities, shape, and position
            (right, down).
        chances: uniforms of age and sex.
    """
    volume, atrophy, ventricles, hyperintensities, shape, right, down = ranks[:7]
    age = truncated_normal(patients.age_mean, patients.age_sd, YOUNGEST, OLDEST, chances[0])
    female = (chances[1] < patients.female).astype(jnp.float32)
    size = brain_anatomy.intracranial_volume(female, volume)
    unit = brain_anatomy.UNIT * (size / brain_anatomy.VOLUMES[0]) ** (1 / 3)
    stretch = jnp.exp(brain_anatomy.SHAPE_SD * shape)
    scalars = {
        "age": age,
        "female": female,
        "volume": size,
        "width": unit * stretch,
        "length": unit / stretch,
        "atrophy": brain_anatomy.atrophy(age, atrophy),
        "ventricles": brain_anatomy.ventricular_width(age, ventricles),
        "hyperintensity": brain_anatomy.hyperintensity(age, female, hyperintensities),
    }
    values = canvas.materialise(*scalars.values(), 2.0 * right, 2.0 * down)
    return Head(**dict(zip(scalars, values, strict=False)), shift=values[-2:])
