"""Published findings beside ours: ``published.toml`` and the results. Signs are compared, never sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from biasprop.component import Definition
from paper.entries import entries
from paper.markdown import filled, table
from paper.predictions import HIT, MISS, NOT_RUN, OPEN, score
from paper.present_estimates import Place, kept, shown

FILE = Path(__file__).with_name("published.toml")

FORMAT = 1
"""Raised when the keys of the JSON change."""

WORDS = {HIT: "agrees", MISS: "does not agree", OPEN: "open", NOT_RUN: NOT_RUN}
"""Score of a sign -> what the page says."""


class Finding(Definition):
    """A published finding, and the estimate that is nearest to it."""

    source: str
    """Authors and year; the methods have the reference."""
    compared: str
    """What was compared with what, and on which data."""
    found: str
    """What was found, with its numbers where they are known."""
    sign: Literal["positive", "negligible", "negative"]
    """Sign that our estimate has if it agrees."""
    study: str
    """Name of our study."""
    ours: Place
    """The estimate."""
    margin: Annotated[float, Field(gt=0)]
    """An effect inside it is negligible; on the scale of the estimate."""
    differs: str
    """In what ours is not the same."""


def read(file: Path = FILE) -> list[Finding]:
    """Return the findings, in the order of the file.

    Raises:
        InputError: it cannot be read, or an entry is wrong.
    """
    return entries(file, "finding", Finding)


def compared(findings: Sequence[Finding], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the findings with our estimates as JSON values.

    Args:
        findings: from :func:`read`.
        results: study -> its JSON; those of an earlier version of the study have to be left out.
    """
    rows = []
    for one in findings:
        estimate = one.ours.find(results[one.study]["estimates"]) if one.study in results else None
        bounds = [
            float("nan") if estimate is None or estimate[x] is None else float(estimate[x]) for x in ("low", "high")
        ]
        scored = score(one.sign, bounds[0], bounds[1], one.margin) if one.study in results else NOT_RUN
        rows.append(one.model_dump(mode="json") | {"estimate": kept(estimate) if estimate else None, "score": scored})
    return {"format": FORMAT, "findings": rows}


def page(value: Mapping[str, Any], generated: str) -> str:
    """The page: one row per finding.

    Args:
        value: from :func:`compared`.
        generated: the first line, which says what writes it.
    """
    counts = Counter(WORDS[row["score"]] for row in value["findings"])
    said = (
        f"Of {sum(counts.values())} findings: " + ", ".join(f"{word} {counts[word]}" for word in WORDS.values()) + "."
    )
    head = (
        "source",
        "compared",
        "published",
        "our study and estimand",
        "sign if it agrees",
        "ours",
        "score",
        "differs in",
    )
    rows = [
        [row["source"], row["compared"], row["found"], f"{row['study']}: {_place(row['ours'])}", row["sign"],
         shown(row["estimate"]) if row["estimate"] else "-", WORDS[row["score"]], row["differs"]]
        for row in value["findings"]
    ]  # fmt: skip
    parts = [generated, "# Published findings beside ours", filled(INTRODUCTION), filled(said)]
    return "\n\n".join([*parts, table(head, rows, left=range(len(head)))]) + "\n"


INTRODUCTION = (
    "Findings on skews of chest films, on hospitals and on federated training, and the estimate of a study that is "
    "nearest to each, with 95 % intervals. A simulation is no clinical estimate, so signs are compared and never "
    "sizes; nothing was tuned to agree. *Agrees*: the interval leaves out 0 on the published side. *Does not agree*: "
    "it leaves out 0 on the other side, or includes 0 and lies inside the margin. *Open*: neither."
)


def _place(ours: Mapping[str, Any]) -> str:
    arm = ", ".join(f"{factor} {level}" for factor, level in ours["arm"].items())
    return f"{ours['name']} ({arm})"
