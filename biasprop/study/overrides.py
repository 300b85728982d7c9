"""What changes a study's tables before they are validated: ``--scale``, ``--set`` and ``--replicates``."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from biasprop.component import InputError
from biasprop.study.factors import ReadFactor, read_factors
from biasprop.study.location import Location, dotted, parse_key, set_at
from biasprop.study.problems import suggestion
from biasprop.study.sample import read_levers
from biasprop.study.source import MAX_DEPTH, Source, exceeded_limit
from biasprop.study.toml_lines import line_of_overlong_key
from biasprop.terminal import clipped, quoted_option


@dataclass
class Overridden:
    """A study's tables after the overrides, and which option set which key."""

    table: dict[str, Any]
    """The tables."""
    original: dict[str, Any]
    """The tables as the file has them."""
    assigned: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> value of every ``--set``."""
    options: list[tuple[Location, str]] = field(default_factory=list)
    """Key -> the option that set it, later ones last."""
    problems: list[str] = field(default_factory=list)
    """Options that could not be applied or have no effect, as messages."""

    def option(self, location: Location) -> str | None:
        """The last option that set this key, or made the string that the file has here a table; None if none did."""
        for key, option in reversed(self.options):
            if location[: len(key)] == key:
                return option
            if key[: len(location)] == location and isinstance(_text_at(self.original, location), str):
                return option
        return None


def with_scale(source: Source, scale: str | None) -> dict[str, Any]:
    """A copy of the study's tables with the table ``[scale.NAME]`` merged into them, if a name is given.

    Raises:
        InputError: the study has no scale of this name.
    """
    if scale is None:
        return copy.deepcopy(source.table)
    scales = source.table.get("scale")
    known = scales if isinstance(scales, dict) else {}
    if not isinstance(known.get(scale), dict):
        raise InputError(f"--scale {scale}: {source.name} has no table [scale.{scale}]; {suggestion(scale, known)}")
    return merge(source.table, known[scale])


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over``, table by table; a component of another kind replaces the old one."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("kind") in (None, old.get("kind")):
            merged[key] = merge(old, value)
        elif isinstance(old, str) and isinstance(value, dict) and "kind" not in value:
            merged[key] = {"kind": old, **copy.deepcopy(value)}
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def with_options(
    table: dict[str, Any], assignments: Sequence[str], replicates: int | None, original: dict[str, Any]
) -> Overridden:
    """Apply every ``--set KEY=VALUE``, then ``--replicates``, to a copy of a study's tables.

    Args:
        table: the tables, with the scale merged.
        assignments: one ``KEY=VALUE`` per ``--set``.
        replicates: instead of the study's number.
        original: the tables as the file has them.
    """
    result = Overridden(copy.deepcopy(table), original)
    for assignment in assignments:
        try:
            location, value = override(result.table, assignment)
        except InputError as error:
            result.problems += error.problems
            continue
        result.assigned[dotted(location)] = value
        result.options.append((location, quoted_option("--set", assignment)))
        result.problems += _without_effect(assignment, location, result.table)
    if replicates is not None:
        result.table["replicates"] = replicates
        result.options.append((("replicates",), f"--replicates {replicates}"))
    return result


def override(table: dict[str, Any], assignment: str) -> tuple[Location, Any]:
    """Apply one ``KEY=VALUE`` to a study's tables, in place. A value that is not TOML is a string.

    Returns:
        The location of the key and the value.

    Raises:
        InputError: there is no ``=``, the key is not a dotted TOML key, or it leads into something that has no keys.
    """
    stated = quoted_option("--set", assignment)
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip() or "\n" in key:
        raise InputError(f"{stated}: has to be KEY=VALUE, such as --set finetuning.labels=500")
    location = parse_key(key)
    if not location:
        raise InputError(f"{stated}: {clipped(key.strip())!r} is not a key; write a dotted key such as a.b")
    value = _parse_value(text)
    if len(location) > MAX_DEPTH:
        raise InputError(f"{stated}: nested too deeply; at most {MAX_DEPTH} levels")
    if excess := exceeded_limit(value):
        raise InputError(f"{stated}: {excess[1]}")
    try:
        return set_at(table, location, value), value
    except KeyError as error:
        raise InputError(f"{stated}: {error.args[0]}") from None


def _parse_value(text: str) -> Any:
    if line_of_overlong_key(text, MAX_DEPTH):
        return text.strip()
    try:
        parsed = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return parsed["v"] if len(parsed) == 1 else text.strip()


def _without_effect(assignment: str, location: Location, table: dict[str, Any]) -> list[str]:
    """Why an assignment changes nothing: every level of a factor, or every setting, sets its key, or a table that the
    key is in."""
    stated = quoted_option("--set", assignment)
    for name, factor in read_factors(table).items():
        if key := _set_by_all(factor, location):
            return [
                f"{stated}: has no effect, because every level of the factor {name} sets {dotted(key)}; "
                f"choose levels with --only {name}=LEVEL or change them with --set factors.{name}.levels=[...]"
            ]
    for name, lever in read_levers(table).items():
        if key := _set_by_all(lever, location):
            return [
                f"{stated}: has no effect, because every setting of the sample sets {dotted(key)}; "
                f"change the lever with --set sample.levers.{name}=..."
            ]
    return []


def _set_by_all(factor: ReadFactor, location: Location) -> Location:
    """The key that all levels set and the location is in; empty if there is none."""
    keys = [next((k for k in level.settings if location[: len(k)] == k), ()) for level in factor.levels]
    return keys[0] if keys and all(keys) else ()


def _text_at(table: Any, location: Location) -> Any:
    for part in location:
        table = table.get(part) if isinstance(table, dict) else None
    return table
