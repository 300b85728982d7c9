"""A skew injected on purpose, and what the pipeline returns of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from biasprop.report.figures import injected_skew
from biasprop.report.plotting import style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


CAPTION = injected_skew.CAPTION

COHORTS = 48
"""Simulated cohorts per expectation."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Any], study: Any) -> Figure:
    """Draw returned against injected skew; where every mean of the study is known, for all that is injected.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: of the study.
        study: with score noise at some levels.

    Raises:
        NotApplicable: nothing of known size is injected.
    """
    from biasprop.truth.expectation import expected, incompatibility

    primary = next((e for e in study.estimands if e.primary and e.kind == "excess_gap"), None)
    if "noiseless" not in cube.coords or primary is None or incompatibility(study):
        return injected_skew.draw(cube, estimates, study)
    levels = [level for level in cube[primary.factor].values.tolist() if level != primary.reference]
    known = expected(study, COHORTS, study.seed)["z"].isel(draw=0)
    references = dict.fromkeys(levels, primary.reference)
    return injected_skew.panels(cube, estimates, study, known, primary.factor, references)
