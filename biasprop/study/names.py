"""Texts that a study file calls something by: one printable line without surrounding spaces.

Names of factors, levels, subgroups, attributes, groups and estimands are data: apart from what this module refuses,
every character is kept and shown as it is, in tables, figures, files and pages.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from biasprop.study.location import Location
from biasprop.study.problems import Problem
from biasprop.terminal import JOINERS

PROSE = "question"
"""The one key whose text is not a name: it may be long, and have line breaks."""

_UNPRINTABLE = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")
"""Unicode categories of control and format characters, unpaired surrogates, characters without a meaning of their own,
and separators of lines and paragraphs."""


def name_problem(text: str, max_length: int | None = None) -> str | None:
    """Why a text cannot be a name, or None."""
    if problem := prose_problem(text, allowed=""):
        return problem
    for c in text:
        if c != " " and unicodedata.category(c) == "Zs":
            return f"has the character {c!r} ({unicodedata.name(c).lower()}) in it; write an ordinary space"
    if text != text.strip():
        return f"starts or ends with a space ({text!r}); leave it out"
    if max_length is not None and len(text) > max_length:
        return f"has {len(text)} characters; at most {max_length} are allowed"
    return None


def prose_problem(text: str, allowed: str = "\n\t") -> str | None:
    """Why a text of several lines is not allowed, or None."""
    for c in text:
        if unicodedata.category(c) in _UNPRINTABLE and c not in JOINERS and c not in allowed:
            return f"has the control character {c!r} in it"
    return None


def name_of(value: Any) -> Any:
    """The name of an element of an array: its ``name``, or itself where it is a text."""
    return value.get("name") if isinstance(value, Mapping) else value


def alike_problems(names: Mapping[Location, Any]) -> list[Problem]:
    """Names that differ, but look the same where they are shown.

    Figures show underscores as spaces, and pages several spaces as one; a letter with an accent may be one character or
    two.

    Args:
        names: of one table or array, by location; what is not a text is skipped.
    """
    problems = []
    seen: dict[str, str] = {}
    for location, name in names.items():
        if isinstance(name, str):
            first = seen.setdefault(_look(name), name)
            if first != name:
                problems.append(Problem(location, f"{name!r} looks like {first!r} where it is shown; rename one"))
    return problems


def _look(name: str) -> str:
    seen = "".join(c for c in name if c not in JOINERS)
    return " ".join(unicodedata.normalize("NFC", seen).replace("_", " ").split())
