"""TOML files that are lists of tables, which pages on several studies are made of."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from biasprop.component import Definition, InputError

Entry = TypeVar("Entry", bound=Definition)


def tables(file: Path, key: str) -> list[dict[str, Any]]:
    """Return the tables ``[[key]]`` of a file.

    Raises:
        InputError: it cannot be read, or has none.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file}: cannot be read as tables [[{key}]] ({error})") from error


def entries(file: Path, key: str, kind: type[Entry]) -> list[Entry]:
    """Return the tables ``[[key]]`` of a file as definitions.

    Raises:
        InputError: it cannot be read, or a table is wrong.
    """
    read = []
    for number, one in enumerate(tables(file, key), 1):
        try:
            read.append(kind.model_validate_json(json.dumps(one)))  # as JSON, whose arrays are tuples
        except ValueError as error:
            raise InputError(f"{file}: {key} {number}: {error}") from error
    return read
