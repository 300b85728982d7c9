"""Signals of brain tissues in four MRI sequences, from the signal equations.

With repetition, echo and inversion time TR, TE and TI, in units of the signal of fully relaxed water:

    spin echo            PD (1 - e^(-TR/T1)) e^(-TE/T2)
    inversion recovery   PD |1 - 2 e^(-TI/T1) + e^(-TR/T1)| e^(-TE/T2),  TI = T1 (ln 2 - ln(1 + e^(-TR/T1))) of fluid
    diffusion            the spin echo times e^(-b ADC)

``t1w`` is meant to follow a contrast agent, which reaches no healthy tissue. Relaxation times at 1.5 T are those of
BrainWeb (Collins et al. 1998) where it has the tissue; at 3 T, and for oedema, infarct, metastasis and scalp, they are
conventions within published ranges. Between 1.5 and 3 T they follow a power of the field strength.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Tissue(enum.IntEnum):
    """Rows of :data:`TISSUES`."""

    CSF = 0
    GREY = 1
    WHITE = 2
    PLAQUE = 3
    OEDEMA = 4
    RIM = 5
    NECROSIS = 6
    INFARCT = 7
    FAT = 8


TISSUES = np.asarray(
    [
        # T1, T2 at 1.5 T; T1, T2 at 3 T; PD;  ADC
        [2569, 329, 4200, 2000, 1.00, 3.10],
        [833, 83, 1331, 90, 0.86, 0.89],
        [500, 70, 832, 75, 0.77, 0.70],
        [752, 237, 1300, 180, 0.76, 1.20],
        [1100, 130, 1600, 130, 0.85, 1.30],
        [1100, 90, 1600, 95, 0.85, 0.85],
        [1800, 160, 2400, 170, 0.90, 1.80],
        [950, 100, 1400, 105, 0.86, 0.45],
        [350, 70, 380, 68, 1.00, 0.05],
    ],
    np.float32,
)
"""T1 and T2 at 1.5 T and at 3 T, ms; proton density relative to water; apparent diffusion coefficient, 10^-3 mm^2/s.
``PLAQUE`` is multiple sclerosis and, in part, the white matter hyperintensity of age; ``RIM`` is the vital part of a
metastasis without contrast agent."""
RELAXIVITY = 4.5
"""Increase in 1 / T1 per concentration of contrast agent, 1 / (s mM)."""


class Sequence(NamedTuple):
    """Settings of a sequence."""

    repetition: float
    """TR, ms."""
    echo: float
    """TE, ms."""
    inverts: float = 0.0
    """1 if inversion nulls cerebrospinal fluid, else 0."""
    diffusion: float = 0.0
    """b, 1000 s/mm^2."""
    fat: float = 1.0
    """Signal of fat that is left after its suppression."""


SEQUENCES = {
    "t1w": Sequence(500, 15),
    "t2w": Sequence(4000, 100),
    "flair": Sequence(9000, 120, inverts=1),
    "dwi": Sequence(6000, 80, diffusion=1, fat=0.1),
}
"""Name -> settings."""


class Scan(NamedTuple):
    """Settings of one scan; scalars, as in :class:`Sequence`."""

    sequence: Sequence
    field_strength: float | Float[Array, ""]
    """Tesla, 1.5 to 3."""


class Relaxation(NamedTuple):
    """Factors on properties of tissues, by tissue."""

    t1: Float[Array, " t"] | Float[np.ndarray, " t"]
    t2: Float[Array, " t"] | Float[np.ndarray, " t"]
    density: Float[Array, " t"] | Float[np.ndarray, " t"]


UNCHANGED = Relaxation(*np.ones((3, len(TISSUES)), np.float32))
"""Properties of the table."""


def sequence(names: tuple[str, ...], index: int | Int[Array, ""], echo_time: float | Float[Array, ""]) -> Sequence:
    """The sequence at a position of a list of names, with its echo time multiplied by a factor."""
    chosen = Sequence(*jnp.asarray([SEQUENCES[name] for name in names], jnp.float32)[index])
    return chosen._replace(echo=chosen.echo * echo_time)


def relaxation_times(field_strength: float | Float[Array, ""]) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    """T1 and T2 of every tissue, ms, at a field strength in tesla."""
    weight = jnp.log2(jnp.asarray(field_strength, jnp.float32) / 1.5)
    low, high = jnp.asarray(TISSUES[:, :2].T), jnp.asarray(TISSUES[:, 2:4].T)
    t1, t2 = low * jnp.exp(weight * jnp.log(high / low))
    return t1, t2


def inversion_time(t1: float | Float[Array, ""], repetition: float | Float[Array, ""]) -> Float[Array, ""]:
    """Inversion time that nulls tissue of this T1, in the unit of both."""
    return t1 * (jnp.log(2.0) - jnp.log1p(jnp.exp(-repetition / jnp.asarray(t1, jnp.float32))))


def signals(
    scan: Scan, relaxation: Relaxation = UNCHANGED, contrast_agent: float | Float[Array, ""] = 0.0
) -> Float[Array, " t"]:
    """Signal of every tissue, in units of fully relaxed water.

    Args:
        scan: sequence and field strength.
        relaxation: factors of the subject, the tissue or the site.
        contrast_agent: concentration in the rim of a metastasis, mM.
    """
    times = relaxation_times(scan.field_strength)
    t1, t2 = times[0] * relaxation.t1, times[1] * relaxation.t2
    rim = np.arange(len(TISSUES)) == Tissue.RIM
    t1 = 1 / (1 / t1 + rim * RELAXIVITY * contrast_agent / 1000)
    repetition, echo, inverts, diffusion, fat = scan.sequence
    inversion = inversion_time(times[0][Tissue.CSF], repetition)
    recovered = 1 - inverts * 2 * jnp.exp(-inversion / t1) + (2 * inverts - 1) * jnp.exp(-repetition / t1)
    density, coefficient = jnp.asarray(TISSUES[:, 4]), jnp.asarray(TISSUES[:, 5])
    kept = jnp.exp(-echo / t2 - diffusion * coefficient) * jnp.where(np.arange(len(TISSUES)) == Tissue.FAT, fat, 1.0)
    return density * relaxation.density * jnp.abs(recovered) * kept


def brightest(names: tuple[str, ...], index: int | Int[Array, ""]) -> Float[Array, ""]:
    """Signal of the brightest tissue at 1.5 T in a sequence, to which the receiver is adjusted."""
    return jnp.max(signals(Scan(sequence(names, index, 1.0), 1.5)))
