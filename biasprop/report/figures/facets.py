"""Assignment of a study's factors to the panels of a figure, and the values that curves are drawn from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biasprop.report.plotting import NotApplicable, plain

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.study.study import Study

MAX_ROWS = 8
"""Most rows of panels that fit on a page."""
STORED = ("replicate", "draw", "subgroup")


@dataclass(frozen=True)
class Facets:
    """The roles of a cube's dims in a figure.

    Attributes:
        pretraining: the dim along which the pretraining share (or another property of pretraining) varies.
        budget: the dim of label budgets, or None if the study has only one.
        rows: one selector for every combination of the levels of all other factors.
    """

    pretraining: str
    budget: str | None
    rows: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, z: xr.DataArray, study: Study, varied: str = "share") -> Facets:
        """Derive the roles from the cube's coords and the keys of the factors.

        Args:
            z: z(AUC) of the cube, with its coords.
            study: the loaded study.
            varied: coord that varies along the dim of pretraining, ``share`` or ``objective``.

        Raises:
            NotApplicable: no factor varies it, there are too many combinations, or no arm is finished.
        """
        if z.isnull().all():
            raise NotApplicable("no replicate of any arm is finished")
        if varied not in z.coords:
            raise NotApplicable(f"no factor varies the pretraining {varied}")
        pretraining = str(next(dim for dim in z[varied].dims if dim != "subgroup"))
        budget = study.label_budget
        factors = [str(dim) for dim in z.dims if dim not in STORED]
        others = [dim for dim in factors if dim not in (pretraining, budget)]
        levels = [z[dim].values.tolist() for dim in others]
        rows = tuple(dict(zip(others, chosen, strict=True)) for chosen in itertools.product(*levels))
        if len(rows) > MAX_ROWS:
            raise NotApplicable(f"{len(rows)} combinations of {', '.join(others)}: at most {MAX_ROWS} rows fit")
        return cls(pretraining, budget, rows)

    def budgets(self, z: xr.DataArray, at_least: int = 1) -> str:
        """Return the dim of label budgets.

        Raises:
            NotApplicable: there are fewer than ``at_least`` budgets.
        """
        if self.budget is None or z.sizes[self.budget] < at_least:
            raise NotApplicable("no factor varies finetuning.labels")
        return self.budget


def share_axis_subgroup(study: Study, subgroups: Sequence[str]) -> str:
    """Return the subgroup whose share is the x axis: B of the primary estimand, else the last subgroup."""
    return next((e.pair[1] for e in study.estimands if e.primary and e.pair), subgroups[-1])


def stated_swap(study: Study) -> Any:
    """Return the study's first swap contrast on z, which gives subgroups, skewed levels and margin.

    Raises:
        NotApplicable: there is none.
    """
    for estimand in study.estimands:
        if estimand.kind == "swap_contrast" and estimand.scale == "z":
            return estimand
    raise NotApplicable("the study has no swap contrast on z among its estimands")


def row_title(row: dict[str, Any]) -> str:
    """Return the title of a row of panels."""
    return ", ".join(plain(level) for level in row.values())


def row_place(row: dict[str, Any]) -> str:
    """Return the title with the names of factors, for figures in which levels alone may be ambiguous."""
    return ", ".join(f"{plain(name)} {plain(level)}" for name, level in row.items())


def measured(cube: xr.Dataset, study: Study) -> xr.Dataset:
    """Return the cube with the measures z and validation_auc, computed once for all figures; if there are groups of
    subgroups, without the variables that exist for subgroups only, such as scores."""
    from biasprop.statistics.measures import measure

    if "z" in cube:
        return cube
    measures = measure(cube, **study.evaluation.decisions())
    shared = {name: measures[name] for name in ("z", "validation_auc")}
    if measures.sizes["subgroup"] != cube.sizes["subgroup"]:
        cube = cube.drop_dims("subgroup")
    return cube.assign(shared)


def z_by_replicate(cube: xr.Dataset, study: Study) -> xr.DataArray:
    """Return z(AUC) of every arm [factors..., replicate, subgroup], draws averaged; NaN where a draw is missing."""
    from biasprop.statistics.measures import per_replicate

    return per_replicate(measured(cube, study), "z")


def summary(values: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Return mean, low and high of the 95 % t interval over replicates: [replicate, x] -> three arrays [x]."""
    from biasprop.statistics.intervals import t_interval

    found = [t_interval(column) for column in values.T]
    return tuple(np.array([getattr(i, name) for i in found]) for name in ("value", "low", "high"))  # pyright: ignore[reportReturnType]
