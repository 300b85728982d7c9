"""The cube's coordinates as arrays: a function of the layout alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from biasprop.store.layout import Layout

POSITIONS_PER_CHUNK = 1024
"""Of ``replicate`` and ``draw``: the chunk is filled beyond the array's end, so that growth leaves it alone."""

CHUNK_KEYS = {
    "i": {"name": "default", "configuration": {"separator": "/"}},
    "f": {"name": "default", "configuration": {"separator": "."}},
    "U": {"name": "v2", "configuration": {"separator": "."}},
}
"""How chunks are named, by kind of value. A level such as 0.5 or "all" turns the integers of a factor into other
values, and another coordinate may get one more dim: the new chunks then never lie where readers look for the old."""

_LONG_NAMES = {
    "replicate": "replicate",
    "draw": "draw of the fine-tuning subjects",
    "subgroup": "subgroup",
    "latent": "latent of the generator",
    "share": "share of the subgroup in the pretraining population; NaN without subjects",
    "cohort_size": "subjects of the pretraining cohort; NaN where another factor sets it",
    "label_share": "share of the subgroup among the fine-tuning subjects; NaN where it is not fixed",
    "objective": "pretraining objective",
    "judged_label": "label that the test records; NaN where it is the true one",
    "score_noise": "sd of the noise added to scores, in units of their sd within a class",
    "noiseless": "level that differs in the noise of scores alone and has none",
}


class Coordinate(NamedTuple):
    """One coordinate array."""

    dims: tuple[str, ...]
    values: np.ndarray
    """int64, float64 with NaN for what is missing, or str with "" for it."""
    attrs: dict[str, Any]


def coordinates(layout: Layout) -> dict[str, Coordinate]:
    """Every coordinate of a cube by name, those of the dims first."""
    found: dict[str, Coordinate] = {}
    for factor in layout.factors:
        about = f"level of the factor {factor.name}"
        found[factor.name] = _coordinate((factor.name,), _labels(factor.labels), about)
    for name, values in (
        ("replicate", np.arange(layout.replicates)),
        ("draw", np.arange(layout.draws)),
        ("subgroup", np.array(layout.subgroups)),
        ("latent", np.array(layout.latents)),
    ):
        found[name] = _coordinate((name,), values, _LONG_NAMES[name])
    for name, (dims, values) in layout.coords.items():
        found[name] = _coordinate(tuple(dims), _with_missing(values), _LONG_NAMES.get(name, name))
    return found


def chunk_shape(coordinate: Coordinate, layout: Layout) -> tuple[int, ...]:
    """One chunk per level, so that a growth adds files and changes none."""
    per_dim: dict[str, int] = {factor.name: 1 for factor in layout.factors}
    per_dim |= {"replicate": POSITIONS_PER_CHUNK, "draw": POSITIONS_PER_CHUNK}
    return tuple(
        per_dim.get(dim, max(int(size), 1)) for dim, size in zip(coordinate.dims, coordinate.values.shape, strict=True)
    )


def _coordinate(dims: tuple[str, ...], values: np.ndarray, long_name: str) -> Coordinate:
    return Coordinate(dims, values, {"long_name": long_name} | ({} if values.dtype.kind == "U" else {"units": "1"}))


def _labels(labels: list[Any]) -> np.ndarray:
    numeric = bool(labels) and all(isinstance(label, int | float) for label in labels)
    return np.array(labels) if numeric else np.array([str(label) for label in labels], str)


def _with_missing(values: Any) -> np.ndarray:
    flat = np.array(values, object)
    if all(item is None or isinstance(item, int | float) for item in flat.ravel()):
        return flat.astype(float)
    return np.vectorize(lambda item: "" if item is None else str(item), otypes=[str])(flat)
