"""How a study's factors fall into the panels of a figure, and what its curves are drawn from."""

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

MAX_ROWS = 8
"""More rows of panels than this no page holds."""
STORED = ("replicate", "draw", "subgroup")


@dataclass(frozen=True)
class Facets:
    """Which dim of a cube plays which part.

    Attributes:
        pretraining: the dim along which the share (or whatever else of pretraining) moves.
        budget: the dim of label budgets, or None if the study has one budget only.
        rows: a selector for every combination of the levels of all other factors.
    """

    pretraining: str
    budget: str | None
    rows: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, z: xr.DataArray, study: Any, moved: str = "share") -> Facets:
        """Read the parts off the cube's coords and the factors' keys.

        Args:
            z: of the cube, with its coords.
            study: its factors.
            moved: coord of what moves along the dim of pretraining, ``share`` or ``objective``.

        Raises:
            DoesNotFit: no factor moves that, there are too many combinations, or no arm is finished.
        """
        if z.isnull().all():
            raise NotApplicable("no replicate of any arm is finished")
        if moved not in z.coords:
            raise NotApplicable(f"no factor moves the pretraining {moved}")
        pretraining = str(next(dim for dim in z[moved].dims if dim != "subgroup"))
        keys = {name: getattr(factor, "key", None) for name, factor in study.factors.items()}
        budget = next((name for name, key in keys.items() if key == "finetuning.labels"), None)
        factors = [str(dim) for dim in z.dims if dim not in STORED]
        others = [dim for dim in factors if dim not in (pretraining, budget)]
        levels = [z[dim].values.tolist() for dim in others]
        rows = tuple(dict(zip(others, chosen, strict=True)) for chosen in itertools.product(*levels))
        if len(rows) > MAX_ROWS:
            raise NotApplicable(f"{len(rows)} combinations of {', '.join(others)}: at most {MAX_ROWS} rows fit")
        return cls(pretraining, budget, rows)

    def budgets(self, z: xr.DataArray, least: int = 1) -> str:
        """The dim of label budgets.

        Raises:
            DoesNotFit: there are fewer of them than so many.
        """
        if self.budget is None or z.sizes[self.budget] < least:
            raise NotApplicable("no factor varies finetuning.labels")
        return self.budget


def counted(study: Any, subgroups: Sequence[str]) -> str:
    """The subgroup whose share is an x axis: the second one of the primary contrast, else the last one."""
    return next((e.subgroups[1] for e in study.estimands if e.primary), subgroups[-1])


def stated_swap(study: Any) -> Any:
    """The study's first swap contrast on z, which says subgroups, skewed levels and margin.

    Raises:
        DoesNotFit: there is none.
    """
    for estimand in study.estimands:
        if estimand.kind == "swap_contrast" and estimand.scale == "z":
            return estimand
    raise NotApplicable("the study states no swap contrast on z")


def row_title(row: dict[str, Any]) -> str:
    """What a row of panels is called."""
    return ", ".join(plain(level) for level in row.values())


def row_place(row: dict[str, Any]) -> str:
    """The same with the factors' names, where levels of several factors may be called alike."""
    return ", ".join(f"{plain(name)} {plain(level)}" for name, level in row.items())


def measured(cube: xr.Dataset, study: Any) -> xr.Dataset:
    """The cube with its measure z, which every curve is drawn from; taken once for all figures."""
    from biasprop.statistics.measures import measure

    return cube if "z" in cube else cube.assign(z=measure(cube, study.evaluation.target_specificity)["z"])


def z_by_replicate(cube: xr.Dataset, study: Any) -> xr.DataArray:
    """z(AUC) of every arm [factors..., replicate, subgroup], draws averaged; NaN where an arm is not whole."""
    from biasprop.statistics.measures import per_replicate

    return per_replicate(measured(cube, study), "z")


def auc_of(z: NDArray[np.floating]) -> NDArray[np.floating]:
    """The AUC whose z this is."""
    from scipy.special import ndtr

    return ndtr(z / np.sqrt(2))


def summary(values: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Mean, low and high end of the 95 % t interval over replicates: [replicate, x] -> three times [x]."""
    from biasprop.statistics.intervals import t_interval

    found = [t_interval(column) for column in values.T]
    return tuple(np.array([getattr(i, name) for i in found]) for name in ("value", "low", "high"))  # pyright: ignore[reportReturnType]
