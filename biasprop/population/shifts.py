"""Shifts of a subgroup in one stage, beside its share: one parameter per edge of the causal graph, all 0 by default.

The names are those of Castro et al. (Nature Communications 11:3673, 2020): prevalence, manifestation, acquisition and
annotation shift; a marker correlated with the disease is a shortcut. (Their population shift is the share.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component, Preset

Probability = Annotated[float, Field(ge=0, le=1)]

PRESETS: dict[str, dict[str, float]] = {
    "population_only": {},
    "acquisition_confounded": {"acquisition": 0.336},
    "underdiagnosis": {"missed": 0.2},
    "shortcut": {"marker_healthy": 0.1, "marker_diseased": 0.9},
    "late_presentation": {"presentation": 0.5},
    "academic": {"missed": 0.03},
    "community": {"acquisition": 0.336, "exposure": -0.223, "missed": 0.1},
    "full": {
        "prevalence": -0.887,
        "presentation": 0.5,
        "acquisition": 0.336,
        "missed": 0.2,
        "false_alarm": 0.03,
        "marker_healthy": 0.1,
        "marker_diseased": 0.9,
    },
}
"""Preset -> shift parameters of one subgroup in one stage; conventions, not measurements.

``acquisition`` .336 is log 1.4, the ratio of noise in a community hospital to that in an academic one; ``exposure``
-.223 is log .8, the ratio of their doses; ``prevalence`` -.887 shifts .30 to .15. ``academic`` and ``community`` are
the two kinds of hospital as sites, with 3 % and 10 % of diagnoses missed.
"""


def _is_none(value: float | None) -> bool:
    """Whether a field is not set; it is then not serialised and does not enter the digest."""
    return value is None


class Shift(Component):
    """Shifts of one subgroup in one stage; 0 is no shift."""

    prevalence: Annotated[float, Field(ge=-6, le=6)] = 0.0
    """Prevalence shift: added to the log-odds of P(disease | subgroup)."""
    presentation: Annotated[float, Field(ge=-1, le=5)] = 0.0
    """Manifestation shift: severity of diseased subjects beyond the usual, as a fraction of the usual severity; healthy
    subjects are unchanged."""
    acquisition: Annotated[float, Field(ge=-3, le=3)] = 0.0
    """Acquisition shift: added to the log sd of the image noise."""
    exposure: Annotated[float, Field(ge=-2, le=2)] | None = Field(default=None, exclude_if=_is_none)
    """Acquisition shift: added to the log of the light that reaches the sensor; left out: 0, and then it is not part of
    the compiled program."""
    missed: Probability = 0.0
    """Annotation shift: P(recorded healthy | diseased)."""
    false_alarm: Probability = 0.0
    """Annotation shift: P(recorded diseased | healthy)."""
    marker_healthy: Probability = 0.0
    """Shortcut: P(marker in the image | healthy)."""
    marker_diseased: Probability = 0.0
    """Shortcut: P(marker in the image | diseased)."""


class EvaluationShift(Shift):
    """Shifts of one subgroup in the evaluation, which also has scores."""

    score_noise: Annotated[float, Field(ge=0, le=10)] | None = Field(default=None, exclude_if=_is_none)
    """Injected skew: sd of normal noise added to the log-odds of calibration and test subjects, in units of the sd of
    the test subjects' log-odds within a class (true label); left out: none."""


Shifts = dict[str, Annotated[Shift, Preset(PRESETS)]]
"""Subgroup -> its shifts, or the name of a preset; empty if nothing is shifted."""

EvaluationShifts = dict[str, Annotated[EvaluationShift, Preset(PRESETS)]]
"""The same for the evaluation."""


def no_shifts(shifts: Mapping[str, Shift]) -> bool:
    """Whether a stage has no shifts; a dump then omits the table, so that the digest does not depend on it."""
    return not shifts


def in_order(shifts: Mapping[str, Shift], subgroups: Sequence[str]) -> tuple[Shift, ...]:
    """The shift of every subgroup, by index; an empty tuple if the stage has no shifts."""
    return tuple(shifts.get(name, Shift()) for name in subgroups) if shifts else ()


def of_subjects(shifts: Mapping[str, EvaluationShift]) -> dict[str, EvaluationShift]:
    """The shifts of an evaluation without the noise of scores, which changes no subject and no image.

    A subgroup of which nothing else is stated is left out, so an evaluation with such noise alone has the subjects, the
    images and the compiled programs of one without shifts.
    """
    rest = {
        name: shift if shift.score_noise is None else shift.model_copy(update={"score_noise": None})
        for name, shift in shifts.items()
    }
    return {name: shift for name, shift in rest.items() if shift is shifts[name] or shift != EvaluationShift()}


def score_noise(shifts: Mapping[str, EvaluationShift], subgroups: Sequence[str]) -> tuple[float, ...]:
    """The noise of scores of every subgroup, by index; 0 where there is none."""
    return tuple((shifts[name].score_noise or 0.0) if name in shifts else 0.0 for name in subgroups)


def with_missed(shifts: Sequence[Shift], missed: Sequence[float] | Float[Array, " g"]) -> tuple[Shift, ...]:
    """Shifts with a further, independent probability of missing a disease in each subgroup.

    Args:
        shifts: one per subgroup, or none.
        missed: [subgroup] P(recorded healthy | diseased).
    """
    stated = shifts or (Shift(),) * len(missed)
    return tuple(
        shift.model_copy(update={"missed": 1 - (1 - shift.missed) * (1 - own)})
        for shift, own in zip(stated, missed, strict=True)
    )


def shifted_prevalence(prevalence: Any, odds: Any) -> Any:
    """A prevalence after multiplying its odds by ``odds`` (floats or arrays); unchanged to the bit for 1."""
    return prevalence * odds / (1 - prevalence + prevalence * odds)
