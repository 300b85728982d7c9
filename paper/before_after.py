"""The primary answers that studies gave before, beside the present ones: ``earlier_answers.toml`` and the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from biasprop.component import Definition
from paper.entries import entries
from paper.markdown import escaped, filled, table
from paper.present_estimates import Place, kept, shown

FILE = Path(__file__).with_name("earlier_answers.toml")

FORMAT = 1
"""Raised when the keys of the JSON change."""

NOT_RUN = "not run again yet"


class Earlier(Definition):
    """A primary answer that a study gave before."""

    study: str
    """Name of the study."""
    quantity: str
    """The primary estimand as it was then."""
    scale: str = "z"
    """Scale of the value."""
    recipe: str
    """With which numerics and, where it matters, seed it was computed."""
    value: float
    """The estimate."""
    interval: Annotated[tuple[float, float], Field(min_length=2, max_length=2)] | None = None
    """Its 95 % interval."""
    verdict: str = ""
    """Its verdict, in the words of then."""
    now: Place
    """Where the same quantity is found now."""
    why: str
    """What is different now."""


def read(file: Path = FILE) -> list[Earlier]:
    """Return the earlier answers, in the order of the file.

    Raises:
        InputError: it cannot be read, or an entry is wrong.
    """
    return entries(file, "answer", Earlier)


def compared(earlier: Sequence[Earlier], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return earlier and present answers as JSON values.

    Args:
        earlier: from :func:`read`.
        results: study -> its JSON; those of an earlier version of the study have to be left out.
    """
    rows = []
    for one in earlier:
        estimates = results[one.study]["estimates"] if one.study in results else None
        same = one.now.find(estimates or ())
        primary = [kept(found) for found in estimates or () if found["role"] == "primary"]
        before = one.model_dump(mode="json", exclude={"now"})
        rows.append(
            {
                **before,
                "run_again": estimates is not None,
                "now": kept(same) if same else None,
                "primary": primary,
            }
        )
    return {"format": FORMAT, "answers": rows}


def page(value: Mapping[str, Any], generated: str) -> str:
    """The page: one row per earlier answer.

    Args:
        value: from :func:`compared`.
        generated: the first line, which says what writes it.
    """
    head = ("study", "quantity", "recipe", "before", "verdict", "now", "primary estimand now", "what is different")
    rows = []
    for row in value["answers"]:
        interval = row["interval"] or (None, None)
        now = NOT_RUN if not row["run_again"] else (shown(row["now"]) if row["now"] else "not among its estimands")
        primary = "; ".join(f"{one['name']}: {shown(one)}, {one['verdict']}" for one in row["primary"])
        before = shown({"value": row["value"], "low": interval[0], "high": interval[1], "scale": row["scale"]})
        missing = NOT_RUN if not row["run_again"] else "none: exploratory"
        then = [row["study"], row["quantity"], row["recipe"], before, row["verdict"] or "-"]
        rows.append([*then, now, primary or missing, row["why"]])
    parts = [generated, "# Answers before and now", filled(escaped(INTRODUCTION))]
    return "\n\n".join([*parts, table(head, rows, left=(0, 1, 2, 4, 6, 7))]) + "\n"


INTRODUCTION = (
    "The primary answer of every study with earlier recipes, and the same quantity with the present one, with 95 % "
    "intervals. Verdicts before were those of tests (erased, persists, not resolved); a zone, from one interval, has "
    "replaced them."
)
