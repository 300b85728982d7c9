"""Keys of a study file, part by part: reading ``a.b[2].c``, writing it, and what a nested table has there."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from typing import Any

from biasprop.terminal import clipped

Location = tuple[str | int, ...]
"""Path of a key from the top of the file: names of keys, numbers of array elements."""

MAX_KEY_LENGTH = 200
"""Characters of a dotted key, and of each of its parts."""


def dotted(location: Location) -> str:
    """A location as it is written in a file: ``factors.mix.levels[2].name``."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += f".{part if re.fullmatch(r'[A-Za-z0-9_-]+', part) else json.dumps(part, ensure_ascii=False)}"
    return key.lstrip(".")


def parse_key(text: str) -> Location:
    """Parts of a dotted TOML key; empty if the text is not a key."""
    outside_quotes = re.sub(r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", "", text)
    if len(text) > MAX_KEY_LENGTH or set("=#\n") & set(outside_quotes):
        return ()
    try:
        return _only_path(tomllib.loads(f"{text} = 0"))
    except (tomllib.TOMLDecodeError, ValueError):
        return ()


def get_at(table: Any, location: Location) -> Any:
    """The value at a location; ``{}`` where a table lacks the key, because a dumped model omits tables that are off.

    Raises:
        IndexError: an array has no such element.
    """
    for part in location:
        table = table.get(part, {}) if isinstance(table, dict) else table[int(part)]
    return table


def set_at(table: dict[str, Any], location: Location, value: Any) -> Location:
    """Set the value at a location in place, adding the tables that lead to it.

    A string on the way names the kind of a component and becomes a table with that ``kind``.

    Returns:
        The location, with the numbers of array elements as ints.

    Raises:
        KeyError: the location leads into an array without that element, or a value without keys; its argument says so.
    """
    parent: Any = table
    parts: list[str | int] = []
    for depth, part in enumerate(location):
        if isinstance(parent, list):
            if not (isinstance(part, int) or part.isdigit()) or int(part) >= len(parent):
                where = ".".join(map(str, parts))
                raise KeyError(f"{where} is an array of {len(parent)}; name an element by its number, from 0")
            part = int(part)
        elif not isinstance(parent, dict):
            raise KeyError(f"{'.'.join(map(str, parts))} has the value {clipped(repr(parent))}, which has no keys")
        parts.append(part)
        if depth == len(location) - 1:
            parent[part] = copy.deepcopy(value)  # pyright: ignore[reportArgumentType, reportCallIssue]
            break
        if isinstance(parent, dict) and part not in parent:
            parent[part] = {}
        child = parent[part]  # pyright: ignore[reportArgumentType, reportCallIssue]
        if isinstance(child, str):
            child = parent[part] = {"kind": child}  # pyright: ignore[reportArgumentType, reportCallIssue]
        parent = child
    return tuple(parts)


def _only_path(table: dict[str, Any]) -> Location:
    """The one key that nested tables lead to. ValueError: there are several."""
    parts: list[str] = []
    value: Any = table
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return tuple(parts)
