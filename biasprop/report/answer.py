"""A study's answer, short enough to be read aloud: the primary estimate, what is not resolved, what flips it, whether
the design could have seen a material effect, and whether pretraining was worth anything.

Every number is also in the tables and in ``biasprop.dataframe``. :func:`brief` adds a table of estimates.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biasprop.metrics import sensitivity_loss
from biasprop.report.wording import Wording, interval, leaves_out_0, number, on_scale
from biasprop.statistics.summary import Estimate, Mean, Summary, place
from biasprop.statistics.tests import ALPHA
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, NOT_RESOLVED, UNCLEAR

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from biasprop.statistics.estimand import Level
    from biasprop.study.study import Study

LINES = 12
"""Most lines of an answer."""

BRIEF_LINES = 40
"""Most lines of an answer with its table."""

ROLES = ("primary", "secondary", "exploratory")

ORDER = (NOT_RESOLVED, NEGLIGIBLE, UNCLEAR, MATERIAL)
"""Verdicts in the order in which they are told: nulls and misses first."""

MAX_NAMED = 3
"""Most estimates that a sentence names with their numbers; of more it gives the count and the range."""

MAX_TOLD = 6
"""Most secondary estimates that have a sentence each; more are told by their verdicts."""

LABELS = ("finetuning", "labels")
"""Key of the label budget."""


@dataclass(frozen=True)
class Answer:
    """What is said of a study, the most important first."""

    sentences: tuple[str, ...]
    """Each ends with a full stop."""
    short: tuple[str, ...] = ()
    """The same in fewer words, for an answer that would be too long; empty if there is no other."""
    optional: tuple[str, ...] = ()
    """Sentences that are left out first, in this order."""

    def lines(self, width: int = 100, most: int | None = LINES) -> list[str]:
        """Return the answer, every sentence on lines of its own.

        Args:
            width: columns per line.
            most: lines, see :meth:`within`; None for all.
        """
        return self._wrapped(self.sentences if most is None else self.within(width, most), width)

    def within(self, width: int, most: int) -> list[str]:
        """Return the sentences that fit into so many lines.

        Args:
            width: columns per line.
            most: lines. If there are more, those of ``short`` are taken, without as many of ``optional`` as it needs; a
                sentence that would need more even so is left out (the first is cut).
        """
        if len(self._wrapped(self.sentences, width)) <= most:
            return list(self.sentences)
        kept = list(self.short or self.sentences)
        for sentence in self.optional:
            if len(self._wrapped(kept, width)) > most and sentence in kept:
                kept.remove(sentence)
        said: list[str] = []
        for sentence in kept:
            if len(self._wrapped([*said, sentence], width)) <= most:
                said.append(sentence)
            elif not said:
                said.append(textwrap.shorten(sentence, width * most - width, placeholder=" ..."))
        return said

    @staticmethod
    def _wrapped(sentences: Sequence[str], width: int) -> list[str]:
        return [line for sentence in sentences for line in _filled([sentence], width)]

    def text(self) -> str:
        """Return the whole answer on one line."""
        return " ".join(self.sentences)


def answer(summary: Summary, study: Study) -> Answer:
    """Return the answer of a study.

    Args:
        summary: of the study, which may be partly run.
        study: its estimands and levels.
    """
    wording = Wording(study)
    by_role: dict[str, list[Estimate]] = {role: [] for role in ROLES}
    for estimate in summary.estimates:
        by_role[estimate.role].append(estimate)
    primary, secondary = by_role["primary"], by_role["secondary"]
    before: list[str] = []
    for estimate in primary:
        before += _primary(summary, wording, estimate)
    design = [sentence for estimate in primary for sentence in _design(estimate)]
    after: list[str] = []
    for estimate in primary:
        after += _flips(wording, estimate, [*secondary, *by_role["exploratory"]])
    # A difference of two worths, with ``minus``, does not say what pretraining is worth.
    worths = [one for one in summary.estimates if one.kind == "worth" and not wording.estimand(one).minus]
    if summary.estimates and all(one.role == "exploratory" for one in worths):
        after += _worth(worths, primary)
    if primary and summary.levels:
        after += _aucs(summary, primary[0])
    elif summary.estimates and not primary:
        before.insert(0, "The study states no primary estimand, so that its estimates are exploratory.")
    short = (*before, *design, *_by_verdict(secondary), *after)
    optional = (*reversed(after), *design)
    if len(secondary) > MAX_TOLD:
        return Answer(short, optional=optional)
    told = _secondary(wording, secondary, _known(wording, primary))
    return Answer((*before, *design, *told, *after), short, optional)


def brief(summary: Summary, study: Study, width: int, most: int = BRIEF_LINES) -> str:
    """Return what a run prints: the answer, and as many estimates as there is room for.

    Args:
        summary: of the study.
        study: its estimands and levels.
        width: columns per line; a table in which numbers would be cut is wider.
        most: lines of the text.
    """
    from biasprop.report import tables

    said = answer(summary, study).lines(width)
    room = most - len(said) - 2  # an empty line, and the one that says how many estimates are left out
    shown = min(len(summary.estimates), room)
    while shown > 0:
        lines = tables.text([table_of(summary.estimates, shown)], width).splitlines()
        if (over := len(lines) - room) <= 0:
            more = len(summary.estimates) - shown
            ends = f"{more} more estimates, levels and notes" if more else "levels and notes"
            return "\n".join([*said, "", *lines, f"{ends}: -v"]) + "\n"
        shown -= max(over // 3, 1)  # a row may have several lines
    return "\n".join(said) + "\n"


def limits(cube: xr.Dataset, width: int) -> list[str]:
    """Return lines on what scores cannot say because test subjects have no twins; none if they have."""
    from biasprop.statistics.groups import LIMITS, has_twins

    return [] if has_twins(cube) else _filled([LIMITS], width)


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
    return _filled([sentence], width)


def left_out(beyond: Mapping[str, Sequence[object]]) -> list[str]:
    """Return a line that names stored levels and replicates of which nothing is shown; no line if there are none.

    Args:
        beyond: factor -> levels, ``replicate`` -> numbers.
    """
    parts = [f"{name} {', '.join(map(str, labels))}" for name, labels in beyond.items()]
    return [f"Left out, because the study as it was last run does not have them: {'; '.join(parts)}."] if parts else []


def _primary(summary: Summary, wording: Wording, estimate: Estimate) -> list[str]:
    if math.isnan(estimate.value):
        why = f" ({estimate.reason})" if estimate.reason else ""
        return [f"{estimate.name} is undefined{why}."] if summary.levels else [f"{estimate.name} is undefined."]
    note = f" ({estimate.reason})" if estimate.reason else ""
    verdict = f": {estimate.verdict}{note}" if estimate.verdict else ""
    said = [f"{wording.sentence(estimate)}, from {estimate.replicates} replicates{verdict}."]
    on_auc = _on_auc(summary, estimate)
    if on_auc is None:
        return said
    parts = [f"{_mean(on_auc, '+')} in AUC"]
    z = _level_of_z(summary, estimate)
    if not math.isnan(z) and summary.target_specificity < 1:
        values = (estimate.value, *interval(estimate))
        missed = 100 * sensitivity_loss(z, values, summary.target_specificity)
        estimand = wording.estimand(estimate)
        pair, whose = estimand.pair, ""
        if estimand.of_level:  # a gain
            missed = -missed[[0, 2, 1]]
        elif pair:
            whose = f" of {pair[1]} over those of {pair[0]}"
        shown = f"{missed[0]:+z.0f}" + ("" if math.isnan(missed[1]) else f" [{missed[1]:+z.0f}, {missed[2]:+z.0f}]")
        parts.append(
            f"{shown} missed cases{whose} per 100 people with the disease (binormal model, specificity "
            f"{summary.target_specificity:g})"
        )
    return [*said, f"That is {', and '.join(parts)}."]


def _on_auc(summary: Summary, estimate: Estimate) -> Mean | None:
    """A difference on z, taken of the AUC itself; None of another estimate."""
    if estimate.scale != "z":
        return None
    what = (estimate.name, estimate.subgroups, estimate.arm)
    return next((row.scales["auc"] for row in summary.scales if (row.name, row.subgroups, row.arm) == what), None)


def _flips(wording: Wording, primary: Estimate, others: Sequence[Estimate]) -> list[str]:
    """Where the same quantity has the other sign and leaves out 0; where it leaves out 0 if the primary does not.
    Intervals hold together over all arms that are searched (Bonferroni)."""
    if math.isnan(primary.value):
        return []
    sign = leaves_out_0(*interval(primary))
    alike = [one for one in others if wording.quantity(one) == wording.quantity(primary)]
    arms: dict[str, Estimate] = {}  # one that is named and stands among the exploratory ones too is one arm
    for one in alike:
        arms.setdefault(wording.place(one), one)
    arms.pop(wording.place(primary), None)
    same = list(arms.values())
    told = [one for one in same if _side(one, len(same))]
    searched = f"of {len(same)} other arms, corrected for their number"
    if not sign:
        return [f"Elsewhere it leaves out 0 ({searched}): {_listed(told, wording.place, 'arms')}."] if told else []
    if flipped := [one for one in told if _side(one, len(same)) != sign]:
        return [f"The sign flips ({searched}): {_listed(flipped, wording.place, 'arms')}."]
    return [f"The sign flips in none {searched}."] if same else []


def _side(estimate: Estimate, arms: int) -> int:
    """1 or -1 if the interval at level 1 - 5 % / arms lies above or below 0, and so does the one that is printed, else
    0."""
    from scipy.special import stdtrit

    if estimate.method != "t" or not estimate.replicates > 1 or math.isnan(estimate.se):
        return 0
    if not leaves_out_0(*interval(estimate)):  # that of a secondary estimate is corrected for its family
        return 0
    half = float(stdtrit(estimate.replicates - 1, 1 - ALPHA / 2 / arms)) * estimate.se
    return leaves_out_0(estimate.value - half, estimate.value + half)


def _design(primary: Estimate) -> list[str]:
    """Whether a material effect would have been seen, from the half-width of the interval."""
    low, high = interval(primary)
    margin = primary.margin
    if margin is None or math.isnan(low) or math.isinf(high - low) or primary.verdict == MATERIAL:
        return []
    half = (high - low) / 2
    said = f"The interval reaches {half:.3f} to either side, and the margin is {margin:g}{on_scale(primary.scale)}: "
    said += f"effects beyond {margin + half:.3f} are expected to show as material"
    return [f"{said}." if half < margin else f"{said}, and none could have shown as negligible."]


def _worth(worths: Sequence[Estimate], primary: Sequence[Estimate]) -> list[str]:
    """What pretraining was worth: at the arm of the primary estimate where the study has that, else in all arms."""
    if not worths:
        return ["What pretraining was worth is not among the estimands."]
    near = [one for one in worths if any(_agree(one.arm, main.arm) for main in primary)] or worths
    parts = f"Worth of pretraining: {_named(near)}"
    positive = sum(leaves_out_0(*interval(one)) > 0 for one in near)
    return [f"{parts}; {positive} of {len(near)} above 0."]


def _known(wording: Wording, primary: Sequence[Estimate]) -> dict[str, Level]:
    """The levels that the sentence on the primary estimate names alone, which need not be said again."""
    if not primary:
        return {}
    minus = wording.estimand(primary[0]).minus
    return {factor: level for factor, level in primary[0].arm.items() if factor not in minus}


def _secondary(wording: Wording, estimates: Sequence[Estimate], known_arm: Mapping[str, Level]) -> list[str]:
    """A sentence for each secondary estimate, by their verdicts."""
    known = [one for verdict in ORDER for one in estimates if one.verdict == verdict and not math.isnan(one.value)]
    notes = [f" ({one.reason})" if one.reason and one.verdict == NOT_RESOLVED else "" for one in known]
    sentences = [f"{wording.sentence(one, known_arm)}: {one.verdict}" for one in known]
    return [f"{sentence}{note}." for sentence, note in zip(sentences, notes, strict=True)]


def _by_verdict(estimates: Sequence[Estimate]) -> list[str]:
    """A sentence for each verdict, with the names of the secondary estimates that have it."""
    said = []
    for verdict in ORDER:
        group = [one for one in estimates if one.verdict == verdict and not math.isnan(one.value)]
        if group:
            said.append(f"{verdict.capitalize()}: {_named(group)}.")
    return said


def _aucs(summary: Summary, primary: Estimate) -> list[str]:
    """The AUC of every subgroup of the primary estimate, because differences are read beside levels."""
    rows = [row for row in summary.levels if _agree(row.arm, primary.arm)]
    parts = []
    for name in primary.subgroups:
        means = [row.subgroups[name]["auc"] for row in rows if name in row.subgroups]
        means = [mean for mean in means if not math.isnan(mean.value)]
        if len(means) == 1:
            parts.append(f"{name} {_mean(means[0])}")
        elif means:
            low, high = (choose(means, key=lambda mean: mean.value) for choose in (min, max))
            parts.append(f"{name} from {_mean(low)} to {_mean(high)}")
    where = "in its arm" if len(rows) == 1 else "in its arms, at every level of the other factors"
    if not parts:
        return ["No arm is finished."]
    return [f"AUC {where}: {'; '.join(parts)}."]


def _level_of_z(summary: Summary, primary: Estimate) -> float:
    """The mean z of the subgroups of an estimate over its arms; NaN where none is finished."""
    from scipy.special import ndtri

    rows = [row for row in summary.levels if _agree(row.arm, primary.arm)]
    means = [row.subgroups[name]["auc"].value for row in rows for name in primary.subgroups if name in row.subgroups]
    known = [math.sqrt(2) * float(ndtri(mean)) for mean in means if 0 < mean < 1]
    return sum(known) / len(known) if known else math.nan


def _agree(arm: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two arms have the same levels of the factors that both fix."""
    return all(arm[name] == other[name] for name in arm.keys() & other.keys())


def table_of(estimates: Sequence[Estimate], most: int) -> Table:
    """Return a table of at most so many estimates: the primary ones, the secondary ones, then the others."""
    from biasprop.estimands import ESTIMANDS
    from biasprop.report.tables import DASH, bounds, empty_table
    from biasprop.report.tables import number as shown

    ordered = sorted(estimates, key=lambda one: ROLES.index(one.role))[:most]
    adjusted = any(one.role == "secondary" for one in estimates)
    table = empty_table("Estimates: * primary, + secondary; exploratory ones have no verdict")
    for name in ("estimand", "arm"):
        table.add_column(name, overflow="fold")
    for name in ("value", "95 % interval", *(["deciding interval"] if adjusted else []), "reps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for one in ordered:
        kind = ESTIMANDS[one.kind]
        cells = [shown(one.value, kind.digits, kind.tested), bounds(one.low, one.high, kind.tested)]
        cells += [bounds(one.zone_low, one.zone_high, kind.tested)] if adjusted else []
        mark = {"primary": "*", "secondary": "+"}.get(one.role, "")
        table.add_row(one.name + mark, place(one.subgroups, one.arm) or DASH, *cells, str(one.replicates), one.verdict)
    return table


def _named(estimates: Sequence[Estimate]) -> str:
    """Estimates by their names."""
    names = list(dict.fromkeys(one.name for one in estimates))
    many = f"estimates of {names[0]}" if len(names) == 1 else "estimates"
    return _listed(
        estimates, lambda one: one.name + (f" ({one.subgroups[0]})" if len(one.subgroups) == 1 else ""), many
    )


def _listed(estimates: Sequence[Estimate], words: Callable[[Estimate], str], many: str) -> str:
    """Estimates with their numbers; of more than :data:`MAX_NAMED` the count and the range of values.

    Args:
        estimates: at least one.
        words: what each is called.
        many: what several are called.
    """
    if len(estimates) <= MAX_NAMED:
        return "; ".join(f"{words(one)} {number(one)}" for one in estimates)
    values = [one.value for one in estimates if not math.isnan(one.value)]
    span = f", from {min(values):+.3f} to {max(values):+.3f}" if values else ""
    return f"{len(estimates)} {many}{span}"


def _mean(mean: Mean, sign: str = "") -> str:
    bounds = "" if math.isnan(mean.low) else f" [{mean.low:{sign}z.3f}, {mean.high:{sign}z.3f}]"
    return f"{mean.value:{sign}z.3f}{bounds}"


def _filled(sentences: Sequence[str], width: int) -> list[str]:
    return textwrap.wrap(" ".join(sentences), width, break_on_hyphens=False, break_long_words=False)
