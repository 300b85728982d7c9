"""A study's answer in one paragraph: its estimates in words, including those that are not resolved.

Every number is also in the tables and in ``biasprop.dataframe``, under the same name.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from biasprop.estimands import ESTIMANDS
from biasprop.statistics.stability import NOT_ROBUST, ROBUST
from biasprop.statistics.summary import Estimate, LevelRow, Summary, place, where
from biasprop.statistics.verdict import ERASED, NEGLIGIBLE, NOT_REACHED, NOT_RESOLVED, PERSISTS, REACHED, REVERSED

if TYPE_CHECKING:
    from biasprop.study.study import Study

ORDER = (PERSISTS, REVERSED, ERASED, NOT_RESOLVED, REACHED, NOT_REACHED, ROBUST, NOT_ROBUST, NEGLIGIBLE)

LABELS = ("finetuning", "labels")
"""Key of the label budget."""

MAX_NAMED = 8
"""Most estimates of one verdict that are named with their numbers; of more only the range of values is given."""


def paragraph(summary: Summary, width: int = 100) -> str:
    """Return the answer.

    Args:
        summary: of a study, which may be partly run.
        width: columns per line.
    """
    primary = [estimate for estimate in summary.estimates if estimate.primary]
    sentences = [_primary(estimate) for estimate in primary]
    others = [estimate for estimate in summary.estimates if not estimate.primary]
    for word in ORDER:
        if group := [estimate for estimate in others if estimate.verdict == word]:
            sentences.append(_group(word, group, also=bool(primary)))
    if summary.levels:
        sentences.append(_levels(summary.levels))
    return textwrap.fill(" ".join(sentences), width, break_on_hyphens=False, break_long_words=False)


def label_budgets(study: Study, width: int = 100) -> list[str]:
    """Return lines that say what a label budget counts; none if all arms of the study have the same.

    Args:
        study: as it was run.
        width: columns per line.
    """
    budget, evaluation = study.finetuning.labels, study.evaluation
    budgets = [{level.settings.get(LABELS, budget) for level in study.levels(name)} for name in study.factors]
    if all(len(levels) == 1 for levels in budgets):
        return []
    sentence = (
        "A label budget counts the labelled subjects of fine-tuning, of which a fifth (at least 2, at most "
        f"{evaluation.selection:,}) validates. The {evaluation.calibration:,} calibration subjects that set the "
        "operating threshold are labelled apart."
    )
    return textwrap.wrap(sentence, width, break_on_hyphens=False, break_long_words=False)


def left_out(beyond: Mapping[str, Sequence[object]]) -> list[str]:
    """Return a line that names stored levels and replicates of which nothing is shown; no line if there are none.

    Args:
        beyond: factor -> levels, ``replicate`` -> numbers.
    """
    parts = [f"{name} {', '.join(map(str, labels))}" for name, labels in beyond.items()]
    return [f"Left out, because the study as it was last run does not have them: {'; '.join(parts)}."] if parts else []


def _primary(estimate: Estimate) -> str:
    note = f" ({estimate.reason})" if estimate.reason else ""
    return f"{_name(estimate)} is {_number(estimate)} from {estimate.replicates} replicates: {estimate.verdict}{note}."


def _group(word: str, group: Sequence[Estimate], also: bool) -> str:
    count = f"{len(group)} {'other ' if also else ''}estimate{'s' if len(group) > 1 else ''}"
    head = f"{word.capitalize()}: {count}"
    if len(group) <= MAX_NAMED:
        return f"{head}, {'; '.join(f'{_name(one)} {_number(one)}' for one in group)}."
    values = [estimate.value for estimate in group if not math.isnan(estimate.value)]
    return f"{head}" + (f", values from {_signed(min(values))} to {_signed(max(values))}." if values else ".")


def _levels(levels: Sequence[LevelRow]) -> str:
    """The arms with the lowest and the highest AUC of every subgroup, because gaps are read beside levels."""
    parts = []
    for subgroup in levels[0].subgroups:
        known = [(row.subgroups[subgroup]["auc"].value, row) for row in levels]
        known = [(value, row) for value, row in known if not math.isnan(value)]
        if known:
            (low, worst), (high, best) = (choose(known, key=lambda one: one[0]) for choose in (min, max))
            parts.append(f"{subgroup} from {low:.3f} ({where(worst.arm)}) to {high:.3f} ({where(best.arm)})")
    return f"AUC, mean over replicates: {'; '.join(parts)}." if parts else "No arm is finished."


def _name(estimate: Estimate) -> str:
    words = place(estimate.subgroups, estimate.arm)
    return estimate.name + (f" ({words})" if words else "")


def _number(estimate: Estimate) -> str:
    kind = ESTIMANDS[estimate.kind]
    say = _signed if kind.tested else lambda value: "-" if math.isnan(value) else f"{value:.{kind.digits}f}"
    interval = "" if math.isnan(estimate.low) else f" [{say(estimate.low)}, {say(estimate.high)}]"
    return say(estimate.value) + interval + (f" {kind.unit}" if kind.unit else "")


def _signed(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:+.3f}"
