"""The tables of the search, ``paper/results/tuning.md``, from its JSON alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from paper.markdown import code, escaped, filled, prose, table
from paper.tuning.confirmation_page import DASH, sections
from paper.tuning.rounds import FOR, MATCHING

Result = Mapping[str, Any]

GENERATED = "<!-- Written by `python -m paper.tuning`; edits are lost. -->"

MAIN = ("contrastive", ("vit", "mixer"))
"""The objective of most studies, and the encoders that share :data:`LIMIT`."""

LIMIT, LIMIT_OF_OTHERS = 60, 20
"""Settings that may be tried: with :data:`MAIN`, and with each other objective or, in all, for a further kind of
images."""

INTRODUCTION = """
How the training recipe was chosen, blind to gaps: what is compared is z = sqrt(2) times the inverse normal CDF of the
AUC, averaged over subgroups before anything else is done with it. {budget} A setting of several rounds counts once."""

COLUMNS = """
*z*: mean over replicates; in brackets the number of replicates that have a value, where some have none (a draw diverged
or failed). The highest mean of a column is marked *best*; a setting without a value in some replicate cannot be it.
*Difference*: to the first setting of the round, paired by replicate, +- its standard error over replicates (n pairs).
The *mean of arms* is taken within each replicate. *Chosen*: the best, or the first setting if the best is within one
paired standard error of it. *Diverged* and *failed*: arms of all replicates. A dash is a value that is not defined.
**Seconds were measured on a busy machine** and tell only large differences: medians, of pretraining for one cell, and
of fine-tuning for one arm with its evaluation and compilation."""


def page(result: Result) -> str:
    """The page: what was tried in all, and a section for every round."""
    parts = [GENERATED, "# The search for the training recipe"]
    parts += [filled(INTRODUCTION.format(budget=_budget(result["rounds"]))), filled(COLUMNS)]
    for one in result["rounds"]:
        parts += _section(one)
    return "\n\n".join(parts) + "\n"


def _budget(rounds: Sequence[Result]) -> str:
    """Settings tried by objective and encoder, and for further kinds of images, against the limits."""
    main, encoders = MAIN
    counts: dict[str, Counter[str]] = {main: Counter(dict.fromkeys(encoders, 0))}
    for images, _, objective, encoder in sorted(
        {
            (one["use"].partition(FOR)[2], s["content"], s["objective"], s["encoder"])
            for one in rounds
            if one["use"] != MATCHING
            for s in one["settings"]
        }
    ):
        shared = objective != main or encoder in encoders
        name = images or (objective if shared else f"{objective} with {encoder}")
        counts.setdefault(name, Counter())[encoder] += 1
    words = []
    for name, count in counts.items():
        limit = LIMIT if name == main else LIMIT_OF_OTHERS
        number, each = count.total(), ", ".join(f"{encoder} {n}" for encoder, n in count.items())
        beyond = "; **beyond the limit**" if number > limit else ""
        words.append(f"{escaped(name)} {number} of at most {limit} ({escaped(each)}{beyond})")
    return f"Settings tried, by objective and encoder: {'; '.join(words)}."


def _section(one: Result) -> list[str]:
    where = [
        f"Round {code(one['round'])}, seed {one['seed']} ({escaped(one['use'])})",
        f"{one['replicates']} replicates",
        f"digest {code(one['digest'][:12])}, numerics {one['numerics']}",
        *([f"computed until {one['date']}"] if one["date"] else []),
    ]
    paragraphs = [prose(text) for text in re.split(r"\n\s*\n", one["question"])]
    tables = [_table(one), *(sections(one["confirmation"]) if "confirmation" in one else [])]
    return [f"## {escaped(one['title'])}", *paragraphs, filled(f"{'; '.join(where)}."), *tables]


def _table(one: Result) -> str:
    names = [_name(column["arm"]) for column in one["columns"]]
    names[1:] = [name or "mean of arms" for name in names[1:]]
    arms = names[: len(one["settings"][0]["seconds"]["finetuning"])]
    head = ["setting", *(f"{what} {name}".strip() for name in names for what in ("z", "difference"))]
    head += ["pretraining, s", *(f"fine-tuning {name}".strip() + ", s" for name in arms), "diverged", "failed"]
    rows = []
    for i, setting in enumerate(one["settings"]):
        row = [setting["name"]]
        for column, entry in zip(one["columns"], setting["columns"], strict=True):
            row += [_level(entry, len(entry["z"]), column["best"] == i), _difference(entry)]
        row += [_seconds(setting["seconds"]["pretraining"]), *map(_seconds, setting["seconds"]["finetuning"])]
        rows.append([*row, str(setting["diverged"]), str(setting["failed"])])
    taken = [
        DASH if column["chosen"] is None else one["settings"][column["chosen"]]["name"] for column in one["columns"]
    ]
    last = ["chosen", *(cell for name in taken for cell in (name, ""))]
    return table(head, [*rows, last + [""] * (len(head) - len(last))], left=(0,))


def _name(arm: Mapping[str, Any]) -> str:
    """A column in words."""
    words = [f"{level} labels" if name == "labels" else str(level) for name, level in arm.items()]
    return ", ".join(words)


def _level(entry: Result, replicates: int, best: bool) -> str:
    count = f" ({entry['n']} of {replicates})" if entry["n"] < replicates else ""
    return f"{_number(entry['mean'], '.3f')}{count}{' best' if best else ''}"


def _difference(entry: Result) -> str:
    if "pairs" not in entry:
        return "reference"
    error = f" +- {_number(entry['se'], '.3f')}" if entry["se"] is not None else ""
    return f"{_number(entry['difference'], '+.3f')}{error} (n {entry['pairs']})"


def _seconds(value: float | None) -> str:
    return _number(value, ".0f" if value is not None and value >= 10 else ".1f")


def _number(value: float | None, form: str) -> str:
    return DASH if value is None or math.isnan(value) else format(value, form)
