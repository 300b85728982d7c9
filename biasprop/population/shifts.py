"""What a stage does to a subgroup beyond its share: one dial for each edge of the causal graph, all off by default.

The names are those of Castro et al. (Nature Communications 11:3673, 2020): prevalence, manifestation, acquisition and
annotation shift; a marker that follows the disease is a shortcut. (Their population shift is the share.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from biasprop.component import Component, Preset

Probability = Annotated[float, Field(ge=0, le=1)]

PRESETS: dict[str, dict[str, float]] = {
    "population_only": {},
    "acquisition_confounded": {"acquisition": 0.336},
    "underdiagnosis": {"missed": 0.2},
    "shortcut": {"marker_healthy": 0.1, "marker_diseased": 0.9},
    "late_presentation": {"presentation": 0.5},
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
"""Preset -> dials of one subgroup in one stage; conventions and no measurements.

``acquisition`` .336 is log 1.4, the noise of a community hospital over that of an academic one; ``prevalence`` -.887
takes .30 to .15.
"""


class Shift(Component):
    """Dials of one subgroup in one stage; 0 is off."""

    prevalence: Annotated[float, Field(ge=-6, le=6)] = 0.0
    """Prevalence shift: added to the log-odds of P(disease | subgroup)."""
    presentation: Annotated[float, Field(ge=-1, le=5)] = 0.0
    """Manifestation shift: how much further than usual the disease has come when it is imaged, as a part of its usual
    distance from health; the healthy are not moved."""
    acquisition: Annotated[float, Field(ge=-3, le=3)] = 0.0
    """Acquisition shift: added to the log of the sd of the image's noise."""
    missed: Probability = 0.0
    """Annotation shift: P(recorded healthy | diseased)."""
    false_alarm: Probability = 0.0
    """Annotation shift: P(recorded diseased | healthy)."""
    marker_healthy: Probability = 0.0
    """Shortcut: P(marker in the image | healthy)."""
    marker_diseased: Probability = 0.0
    """Shortcut: P(marker in the image | diseased)."""


Shifts = dict[str, Annotated[Shift, Preset(PRESETS)]]
"""Subgroup -> its dials, or the name of a preset; empty where nothing is shifted."""


def no_shifts(shifts: Mapping[str, Shift]) -> bool:
    """Whether a stage shifts nothing. A dump leaves it out then, so that no digest depends on a table of nothing."""
    return not shifts


def in_order(shifts: Mapping[str, Shift], subgroups: Sequence[str]) -> tuple[Shift, ...]:
    """The dials of every subgroup, by its index; no entry at all where a stage shifts nothing."""
    return tuple(shifts.get(name, Shift()) for name in subgroups) if shifts else ()


def shifted_prevalence(prevalence: Any, odds: Any) -> Any:
    """A prevalence after its odds are multiplied by ``odds`` (floats or arrays); exactly what it was for 1."""
    return prevalence * odds / (1 - prevalence + prevalence * odds)
