"""Any study made small: the same factors, levels and estimands on one structure that runs in seconds.

It rewrites numbers of the study and is gone; nothing that runs later knows of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from biasprop.study.source import Location

STRUCTURE: dict[str, int] = {
    "size": 16,
    "patch": 8,
    "width": 16,
    "depth": 1,
    "heads": 2,
    "token_hidden": 16,
    "expansion": 2,
    "decoder_width": 16,
    "decoder_depth": 1,
    "projection": 16,
    "batch": 16,
}
"""Name of a whole-number key, in whichever component -> the number it gets: one structure for all studies."""

MAX_VALUES: dict[str, int] = {
    "cohort": 256,
    "steps": 50,
    "labels": 32,
    "draws": 2,
    "test": 200,
    "selection": 32,
    "calibration": 120,
    "pretext": 64,
}
"""Name of a whole-number key -> the most it may be."""

REPLICATES = 2

RUNGS: dict[str, int] = {"labels": 16, "cohort": 128, "steps": 25, "size": 16, "width": 8, "depth": 1}
"""Name of a key that a factor varies -> size of one step of its small ladder (1 step for the lowest level)."""

Filled = Mapping[str, Sequence[Mapping[Location, Any]]]


def smoke(base: Mapping[str, Any], table: Mapping[str, Any], filled: Filled) -> dict[str, Any]:
    """Rewrite a valid study to small numbers.

    Args:
        base: its condition with all defaults filled in.
        table: the study as its file has it.
        filled: factor -> for each level, what each moved key is with defaults filled in.

    Returns:
        The table of the small study. Varied numbers stay apart and in order; estimands name the new ones.
    """
    small = copy.deepcopy(dict(table)) | {name: _shrunk(value) for name, value in base.items()}
    small["replicates"] = min(REPLICATES, table["replicates"])
    small.pop("scale", None)
    renamed: dict[str, dict[Any, Any]] = {}
    for name, factor in small["factors"].items():
        ladder = _ladder(filled[name])
        renamed[name] = {}
        for index, (level, moves) in enumerate(zip(factor["levels"], filled[name], strict=True)):
            new = {path: ladder.get((path, _number(value)), _shrunk(value)) for path, value in moves.items()}
            if isinstance(level, dict) and "set" in level:
                keys = dict(zip(new, level["set"], strict=True))
                # A dump leaves out what is off, and there is nothing to make small in it.
                level["set"] |= {keys[path]: value for path, value in new.items() if value != {}}
            else:
                (value,) = new.values()
                if isinstance(value, dict) and "kind" not in value and (isinstance(level, str) or not value):
                    continue  # a preset by name: its numbers are no sizes, and the name is its label; or what is off
                factor["levels"][index] = value
                if isinstance(level, int | float) and not isinstance(level, bool):
                    renamed[name][level] = value
    for estimand in small["estimands"]:
        _rename(estimand, renamed)
    return small


def _shrunk(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _shrunk(child, name) for name, child in value.items()}
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return STRUCTURE.get(key, min(value, MAX_VALUES.get(key, value)))


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ladder(filled: Sequence[Mapping[Location, Any]]) -> dict[tuple[Location, Any], int]:
    """(key, number) -> small number, for every key of :data:`STRUCTURE` or :data:`MAX_VALUES` that the levels move."""
    ladder: dict[tuple[Location, Any], int] = {}
    for path in {path for moves in filled for path in moves}:
        name = str(path[-1])
        values = sorted({moves[path] for moves in filled if isinstance(_number(moves.get(path)), int)})
        small = (STRUCTURE | MAX_VALUES).get(name)
        if small is not None:
            rung = RUNGS.get(name, small)
            ladder |= {(path, value): rung * (step + 1) for step, value in enumerate(values)}
    return ladder


def _rename(estimand: dict[str, Any], renamed: Mapping[str, Mapping[Any, Any]]) -> None:
    """Make an estimand name the small levels."""
    own = renamed.get(estimand.get("factor", ""), {})
    if "skewed" in estimand:
        estimand["skewed"] = [own.get(level, level) for level in estimand["skewed"]]
    if "reference" in estimand:
        estimand["reference"] = own.get(estimand["reference"], estimand["reference"])
    for field in ("at", "denominator"):
        for factor, level in estimand.get(field, {}).items():
            estimand[field][factor] = renamed.get(factor, {}).get(level, level)
