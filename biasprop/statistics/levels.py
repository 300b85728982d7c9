"""Levels: every measure at every arm, averaged over replicates. Gaps are read beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.metrics import METRICS, SCALES
from biasprop.statistics.contrasts import gap, levelling_down
from biasprop.statistics.estimand import MARGIN, Estimand, Level, compared_pair, on_scale
from biasprop.statistics.groups import subgroups_of
from biasprop.statistics.intervals import t_intervals
from biasprop.statistics.measures import per_replicate, worst_measures
from biasprop.statistics.summary import LevelRow, Mean
from biasprop.status import LACKS, Status

BY_SUBGROUP = (*(name for name, metric in METRICS.items() if not metric.twins), "train_auc", "optimism")
"""Measures of each subgroup, beside pretext_loss."""
GAPS = tuple(
    name for name, scale in SCALES.items() if scale.direction and not (name.startswith("own_") or scale.derived)
)
"""Measures of which an arm has the gap between two subgroups, ``<name>_gap``. Not scales that are undefined in some
replicates: a mean over the others would not be comparable."""
ACROSS = (*worst_measures(METRICS), "threshold", *(name for name, metric in METRICS.items() if metric.twins))
"""Measures of an arm as a whole, beside the gaps and separability."""


def compared(measures: xr.Dataset, estimands: Sequence[Estimand]) -> tuple[str, str] | None:
    """Return :func:`compared_pair` of measures."""
    return compared_pair(estimands, [str(name) for name in measures["subgroup"].values])


def reference_level(measures: xr.Dataset, estimands: Sequence[Estimand]) -> tuple[str, Level] | None:
    """Return the factor and level that gaps are compared with.

    The reference of an excess gap where one is stated; otherwise the level whose pretraining shares are equal.
    """
    for estimand in estimands:
        factor, level = estimand.compared_with or ("", "")
        if factor in measures.dims and level in measures[factor].values.tolist():
            return factor, level
    if "share" in measures.coords and measures["share"].ndim == 2:
        factor = next(str(dim) for dim in measures["share"].dims if dim != "subgroup")
        shares = measures["share"].transpose(factor, "subgroup").sel(subgroup=subgroups_of(measures)).values
        for level, share in zip(measures[factor].values.tolist(), shares, strict=True):
            if np.ptp(share) < 1e-9:
                return factor, level
    return None


def levels(measures: xr.Dataset, estimands: Sequence[Estimand] = ()) -> list[LevelRow]:
    """Return the levels of every arm, in the order of the cube.

    Args:
        measures: from ``measure``.
        estimands: of the study; they give the subgroups that are compared, the scale and the reference.

    Returns:
        One row per arm. Draws are averaged within a replicate first (gaps: on their own scale). Replicates in which a
        measure is undefined are left out of its mean, which has the number of replicates it is from.
    """
    factors = [str(name) for name in measures["status"].dims if name not in ("replicate", "draw")]
    pair = compared(measures, estimands)
    averaged = {name: per_replicate(measures, name) for name in dict.fromkeys((*BY_SUBGROUP, *GAPS))}
    by_subgroup = {name: _means(averaged[name], (*factors, "subgroup")) for name in BY_SUBGROUP}
    by_subgroup["pretext_loss"] = _means(measures["pretext_loss"], (*factors, "subgroup"))
    across = {name: _means(per_replicate(measures, name), factors) for name in ACROSS}
    across["separability"] = _means(measures["separability"], factors)
    if pair:
        across |= {f"{name}_gap": _means(gap(averaged[name], pair), factors) for name in GAPS}
    flag = _levelling_down(measures, estimands, pair)
    moved = measures["auc_moved"].sel(subgroup=subgroups_of(measures)).sum(["replicate", "draw", "subgroup"])
    moved = moved.transpose(*factors).values
    status = measures["status"].transpose(*factors, "replicate", "draw").values
    names = [str(name) for name in measures["subgroup"].values]
    rows = []
    for index in np.ndindex(*(measures.sizes[name] for name in factors)):
        here = status[index]
        whole = np.isin(here, (Status.OK, Status.NOT_PLANNED)).all(axis=1) & (here == Status.OK).any(axis=1)
        rows.append(
            LevelRow(
                arm={name: measures[name].values[i].item() for name, i in zip(factors, index, strict=True)},
                replicates=int(whole.sum()),
                missing={why: int((here == code).any(axis=1).sum()) for code, why in LACKS.items()},
                moved=int(moved[index]),
                subgroups={
                    subgroup: {name: _mean(table[index][k]) for name, table in by_subgroup.items()}
                    for k, subgroup in enumerate(names)
                },
                compared=pair or (),
                across={name: _mean(table[index]) for name, table in across.items()},
                levelling_down=None if flag is None else bool(flag.transpose(*factors).values[index]),
            )
        )
    return rows


def _levelling_down(
    measures: xr.Dataset, estimands: Sequence[Estimand], pair: tuple[str, str] | None
) -> xr.DataArray | None:
    reference = reference_level(measures, estimands)
    if reference is None or pair is None:
        return None
    primary = next((estimand for estimand in estimands if estimand.primary), None)
    scale = primary.scale if primary and not primary.unit else "z"
    # What one subgroup loses has the margin of a difference, whatever the primary contrast is made of.
    margin = on_scale(MARGIN, scale) or (primary.margin if primary else None)
    direction = SCALES[scale].direction
    if not direction or margin is None:
        return None
    return levelling_down(direction * per_replicate(measures, scale), pair, *reference, margin)


def _means(values: xr.DataArray, dims: Sequence[str]) -> NDArray[np.float64]:
    """Return means over replicates as an array [*dims, (value, low, high, replicates)]."""
    table = t_intervals(values)
    return np.stack([table[name].transpose(*dims).values for name in Mean._fields], axis=-1)


def _mean(entry: NDArray[np.float64]) -> Mean:
    return Mean(float(entry[0]), float(entry[1]), float(entry[2]), int(entry[3]))
