"""The result of the search as plain JSON, from which its table is written: ``paper/results/tuning.json``.

Deterministic, as :mod:`paper.study_result` is. The arms of a setting are its columns: every level of the other factors,
and the mean of all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics.intervals import t_interval
from paper.study_result import plain
from paper.tuning.readings import Reading
from paper.tuning.rounds import OTHERS, SEEDS, SETTING, settings

if TYPE_CHECKING:
    from biasprop.study.study import Study

FORMAT = 1
"""Raised when the keys of the JSON change."""

Column = Mapping[str, Any]
"""Factor -> level; none for the mean of all columns."""


def result(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole search.

    Args:
        rounds: from :func:`round_result`.
    """
    return {"format": FORMAT, "rounds": list(rounds)}


def round_result(study: Study, reading: Reading, confirmation: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A round of the search, as JSON values.

    Args:
        study: the round.
        reading: of its store.
        confirmation: its tables by subgroup (:func:`paper.tuning.confirmation.tables`); None for a round of the search.
    """
    from biasprop import NUMERICS

    columns = _columns(reading.z)
    values = [_of_column(reading.z, column) for column in columns]
    return plain(
        {
            "round": study.stem,
            "title": study.title,
            "question": study.question.strip(),
            "seed": study.seed,
            "use": SEEDS[study.seed],
            "digest": study.digest,
            "numerics": NUMERICS,
            "date": reading.date,
            "replicates": reading.z.sizes["replicate"],
            "columns": [
                {"arm": column, "best": best(z), "chosen": chosen(z)} for column, z in zip(columns, values, strict=True)
            ],
            "settings": [
                setting._asdict()
                | {"columns": [_entry(z, i) for z in values]}
                | {"seconds": _seconds(reading, i)}
                | {name: count.values[i] for name, count in reading.lacks.items()}
                for i, setting in enumerate(settings(study))
            ],
        }
        | ({} if confirmation is None else {"confirmation": confirmation})
    )


def best(z: NDArray[np.float64]) -> int | None:
    """The setting with the highest mean of z [setting, replicate]; None if every one lacks a replicate.

    A setting without a value in some replicate cannot be the best: the others may be those in which training is easy.
    """
    means = z.mean(axis=1)
    return None if np.isnan(means).all() else int(np.nanargmax(means))


def chosen(z: NDArray[np.float64]) -> int | None:
    """The setting to take: the best, or the first if the best is within one paired standard error of it.

    Args:
        z: [setting, replicate].

    Returns:
        Its position; None if there is no best one, or no standard error, which needs 2 replicates.
    """
    first = best(z)
    if first is None or first == 0 or np.isnan(z[0]).any():
        return first
    ahead = t_interval(z[first] - z[0])
    if np.isnan(ahead.se):
        return None
    return 0 if ahead.value <= ahead.se else first


def _columns(z: xr.DataArray) -> list[Column]:
    names = [name for name in OTHERS if name in z.dims]
    levels = [z[name].values.tolist() for name in names]
    arms: list[Column] = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*levels)]
    return arms if len(arms) == 1 else [*arms, {}]


def _of_column(z: xr.DataArray, column: Column) -> NDArray[np.float64]:
    """z [setting, replicate] of a column."""
    here = z.sel(dict(column))
    others = [dim for dim in here.dims if dim not in (SETTING, "replicate")]
    return here.mean(others, skipna=False).transpose(SETTING, "replicate").values


def _entry(z: NDArray[np.float64], setting: int) -> dict[str, Any]:
    """Values of a setting in a column z [setting, replicate], and its paired difference to the first setting."""
    own, against = z[setting], z[setting] - z[0]
    level, difference = t_interval(own), t_interval(against)
    entry = {"z": own.tolist(), "mean": level.value, "n": np.count_nonzero(~np.isnan(own))}
    if setting:
        entry |= {"difference": difference.value, "se": difference.se, "pairs": np.count_nonzero(~np.isnan(against))}
    return entry


def _seconds(reading: Reading, setting: int) -> dict[str, Any]:
    """Median seconds: of pretraining over replicates, of fine-tuning over replicates for each column that is an arm."""
    arms = reading.finetuning.isel({SETTING: setting})
    columns = [column for column in _columns(reading.z) if column or len(arms.dims) == 1]
    return {
        "pretraining": _median(reading.pretraining.values[setting]),
        "finetuning": [_median(arms.sel(dict(column)).values) for column in columns],
    }


def _median(seconds: NDArray[np.float64]) -> float:
    known = seconds[~np.isnan(seconds)]
    return float(np.median(known)) if known.size else np.nan
