"""The shape of a cube: its factors and their levels, its sizes, and how it grows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from biasprop.component import InputError
from biasprop.terminal import clipped

Label: TypeAlias = str | int | float
Coord: TypeAlias = tuple[tuple[str, ...], list[Any]]

MAX_NAMED = 3
"""Keys of a level that a message names."""


@dataclass(frozen=True)
class Factor:
    """One dim of the cube that a study varies."""

    name: str
    levels: tuple[tuple[Label, str], ...]
    """(label, content) of each level; the content is canonical JSON of what the level sets."""

    @property
    def labels(self) -> list[Label]:
        """The levels' labels, in order."""
        return [label for label, _ in self.levels]

    def position(self, label: Label) -> int:
        """Position of a level along the dim.

        Raises:
            KeyError: there is no such level.
        """
        try:
            return self.labels.index(label)
        except ValueError:
            raise KeyError(f"{self.name} has no level {label!r}; it has {self.labels}") from None


@dataclass(frozen=True)
class Layout:
    """Names and sizes of everything in a cube."""

    factors: tuple[Factor, ...]
    replicates: int
    draws: int
    subgroups: tuple[str, ...]
    latents: tuple[str, ...]
    test: int
    """Test subjects of an arm (each with one twin per subgroup)."""
    selection: int
    calibration: int
    coords: Mapping[str, Coord] = field(default_factory=dict)
    """Non-index coords: name -> (dims, values); a factor or ``replicate`` can only be the first dim; None is a missing
    number."""

    @property
    def sizes(self) -> dict[str, int]:
        """Lengths of the dims inside one arm."""
        return {
            "draw": self.draws,
            "subgroup": len(self.subgroups),
            "subject": self.test,
            "latent": len(self.latents),
            "selection": self.selection,
            "calibration": self.calibration,
        }

    @property
    def dims(self) -> tuple[str, ...]:
        """The dims that address an arm: the factors in order, then ``replicate``."""
        return (*(factor.name for factor in self.factors), "replicate")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of levels of each factor, then of replicates."""
        return (*(len(factor.levels) for factor in self.factors), self.replicates)

    def factor(self, name: str) -> Factor:
        """The factor of that name.

        Raises:
            KeyError: there is none.
        """
        for factor in self.factors:
            if factor.name == name:
                return factor
        raise KeyError(f"no factor {name!r} among {[factor.name for factor in self.factors]}")

    def index(self, arm: Mapping[str, Label], replicate: int) -> tuple[int, ...]:
        """Position of an arm along ``dims``.

        Raises:
            KeyError: a factor or level is missing or unknown.
        """
        if set(arm) != set(self.dims[:-1]):
            raise KeyError(f"an arm names the levels of {self.dims[:-1]}, not of {tuple(arm)}")
        if not 0 <= replicate < self.replicates:
            raise KeyError(f"no replicate {replicate} among {self.replicates}")
        return (*(factor.position(arm[factor.name]) for factor in self.factors), replicate)

    def arm(self, index: Sequence[int]) -> tuple[dict[str, Label], int]:
        """The arm's levels and the replicate at a position: the inverse of :meth:`index`."""
        levels = {f.name: f.labels[i] for f, i in zip(self.factors, index[:-1], strict=True)}
        return levels, int(index[-1])

    def to_json(self) -> dict[str, Any]:
        """Plain values for the store's metadata; a missing number is None."""
        coords = {name: [list(dims), _nan_to_none(values)] for name, (dims, values) in self.coords.items()}
        factors = [{"name": f.name, "levels": [list(level) for level in f.levels]} for f in self.factors]
        plain = {name: getattr(self, name) for name in ("replicates", "draws", "test", "selection", "calibration")}
        return {
            "factors": factors,
            **plain,
            "subgroups": list(self.subgroups),
            "latents": list(self.latents),
            "coords": coords,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Layout:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: the value is damaged.
        """
        factors = tuple(
            Factor(f["name"], tuple((label, text) for label, text in f["levels"])) for f in value["factors"]
        )
        numbers = {name: int(value[name]) for name in ("replicates", "draws", "test", "selection", "calibration")}
        coords = {name: (tuple(dims), values) for name, (dims, values) in value["coords"].items()}
        for names in ([factor.name for factor in factors], *(dims for dims, _ in coords.values())):
            if len(set(names)) < len(names):
                raise ValueError(f"a dim is named twice in {names}")
        return cls(
            factors=factors,
            subgroups=tuple(value["subgroups"]),
            latents=tuple(value["latents"]),
            coords=coords,
            **numbers,
        )


def grow(stored: Layout, wanted: Layout, path: Path) -> Layout:
    """The stored layout with the wanted levels, replicates and draws appended; nothing stored moves or is removed.

    Args:
        stored: what the store holds.
        wanted: what the study has now; it may lack levels and replicates of the store.
        path: the store, for messages.

    Raises:
        InputError: a level has another content under an old label, or something that cannot grow differs.
    """
    if problems := fixed_differences(stored, wanted):
        raise InputError(
            [f"{path}: {problem}; give the study a store of its own with --out DIR" for problem in problems]
        )
    if problems := level_differences(stored, wanted):
        raise InputError([f"{path}: {problem}; give the changed level a new name" for problem in problems])
    factors = []
    for old in stored.factors:
        new = tuple(level for level in wanted.factor(old.name).levels if level[0] not in old.labels)
        factors.append(Factor(old.name, old.levels + new))
    return replace(
        stored,
        factors=tuple(factors),
        replicates=max(stored.replicates, wanted.replicates),
        draws=max(stored.draws, wanted.draws),
        coords={name: _merge_coord(name, factors, stored, wanted) for name in {**stored.coords, **wanted.coords}},
    )


def fixed_differences(stored: Layout, wanted: Layout) -> list[str]:
    """What differs between a store and a study that cannot grow: factors, subgroups, latents and sizes."""
    if set(stored.dims) != set(wanted.dims):
        names = [", ".join(layout.dims[:-1]) or "none" for layout in (stored, wanted)]
        return [f"the store has the factors {names[0]}, the study {names[1]}"]
    found = []
    for name in ("subgroups", "latents", "test", "selection", "calibration"):
        values = [getattr(layout, name) for layout in (stored, wanted)]
        if values[0] != values[1]:
            words = [", ".join(value) if isinstance(value, tuple) else str(value) for value in values]
            found.append(f"the store has {name} {words[0]}, the study {words[1]}")
    return found


def level_differences(stored: Layout, wanted: Layout) -> list[str]:
    """Levels that a store has with another content than the study, and the keys that differ."""
    found = []
    for factor in stored.factors:
        contents = dict(factor.levels)
        for label, content in wanted.factor(factor.name).levels:
            if (old := contents.get(label, content)) != content:
                where = f"factors.{factor.name}: level {label!r} has changed"
                found.append(f"{where}: {_changes(old, content)}")
    return found


def _changes(stored: str, wanted: str) -> str:
    """Keys that differ between two contents of a level, with both values."""
    ours, theirs = (dict(_leaves(_parsed(content))) for content in (stored, wanted))
    absent = "absent"
    keys = [key for key in {**ours, **theirs} if ours.get(key, absent) != theirs.get(key, absent)]
    values = [[clipped(str(one.get(key, absent))) for one in (ours, theirs)] for key in keys[:MAX_NAMED]]
    said = [
        f"{key} is {old} in the store and {new} in the study" for key, (old, new) in zip(keys, values, strict=False)
    ]
    return ", ".join(said) + (f", and {len(keys) - MAX_NAMED:,} more keys" if len(keys) > MAX_NAMED else "")


def _parsed(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # damaged
        return content


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in nested tables."""
    if not isinstance(value, dict) or not value:
        yield key or "its value", value
        return
    for name, child in value.items():
        yield from _leaves(child, f"{key}.{name}".lstrip("."))


def shared(stored: Layout, wanted: Layout, path: Path) -> tuple[dict[str, list[Label]], int]:
    """What a store has of a study: the levels of every factor, in the study's order, and the number of replicates.

    Args:
        stored: what the store holds.
        wanted: what the study has now; a level that the store lacks (yet) is left out.
        path: the store, for messages.

    Raises:
        InputError: as :func:`grow`; a level of another content is never taken for that of the study.
    """
    grow(stored, wanted, path)
    levels = {
        factor.name: [label for label in factor.labels if label in stored.factor(factor.name).labels]
        for factor in wanted.factors
    }
    return levels, min(stored.replicates, wanted.replicates)


def left_out(stored: Layout, levels: Mapping[str, Sequence[Label]], replicates: int) -> dict[str, list[Label]]:
    """What a store has beyond some levels and replicates: factor -> levels, ``replicate`` -> numbers; only those that
    have any."""
    beyond: dict[str, list[Label]] = {
        factor.name: [label for label in factor.labels if label not in levels[factor.name]] for factor in stored.factors
    }
    beyond["replicate"] = list(range(replicates, stored.replicates))
    return {name: labels for name, labels in beyond.items() if labels}


def _merge_coord(name: str, factors: list[Factor], stored: Layout, wanted: Layout) -> Coord:
    dims, values = (wanted if name in wanted.coords else stored).coords[name]
    if dims[0] == "replicate":  # the store and the study begin with the same ones
        return dims, max((layout.coords[name][1] for layout in (stored, wanted) if name in layout.coords), key=len)
    merged = next((factor for factor in factors if factor.name == dims[0]), None)
    if merged is None:
        return dims, list(values)
    known: dict[Label, Any] = {}
    for layout in (stored, wanted):
        own_dims, own = layout.coords.get(name, ((), []))
        if own_dims == dims:
            known |= dict(zip(layout.factor(dims[0]).labels, own, strict=True))
    nothing = np.full(np.shape(values[0]), None).tolist()
    return dims, [known.get(label, nothing) for label in merged.labels]


def _nan_to_none(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_nan_to_none(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
