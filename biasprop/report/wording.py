"""Estimates as plain sentences: the phrase of the kind (``Estimand.phrase``), with levels and numbers in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from biasprop.metrics import METRICS, SCALES
from biasprop.statistics.estimand import Estimand, Level, references

if TYPE_CHECKING:
    from biasprop.statistics.summary import Estimate
    from biasprop.study.factors import Level as FactorLevel
    from biasprop.study.study import Study

_CHOICE = re.compile(r"\[([^|\]]*)\|([^|\]]*)\|([^|\]]*)\]")
"""Words for a positive, a negative and an undecided value."""

STAGES = ("pretraining", "finetuning", "evaluation")
STAGE_NAMES = {"finetuning": "fine-tuning", "evaluation": "the test set"}


class LevelWords(NamedTuple):
    """A level in words."""

    words: str
    stage: str = ""
    """To follow where the factor is not named: `` in pretraining``."""


class Wording:
    """Levels and estimates of one study in words."""

    def __init__(self, study: Study):
        self._estimands = {estimand.name: estimand for estimand in study.estimands}
        self._levels = {name: _levels(name, study.levels(name)) for name in study.factors}

    def estimand(self, estimate: Estimate) -> Estimand:
        """Return the estimand of an estimate."""
        return self._estimands[estimate.name]

    def level(self, factor: str, level: Level) -> str:
        """Return a level in words: ``10 % dark``, ``200 labels``, ``full fine-tuning``, or its name."""
        return self._words_of(factor, level).words

    def arm(self, arm: Mapping[str, Level]) -> str:
        """Return an arm in words, its levels separated by commas: ``10 % dark in pretraining, 200 labels``."""
        return ", ".join("".join(self._words_of(name, level)) for name, level in arm.items())

    def place(self, estimate: Estimate) -> str:
        """Return what an estimate is of: its subgroup if it is of a single one, and its arm."""
        single = estimate.subgroups if len(estimate.subgroups) == 1 else ()
        return ", ".join([*single, *filter(None, [self.arm(estimate.arm)])])

    def quantity(self, estimate: Estimate) -> tuple[object, ...]:
        """Return what an estimate is of, apart from its arm: those that are equal have the same expected sign."""
        estimand = self.estimand(estimate)
        named = [(field, str(getattr(estimand, field))) for field in references(type(estimand))]
        level = estimate.arm.get(getattr(estimand, "factor", ""))
        # Mixes that are skewed more or less, but in the same direction, are of the same quantity.
        kept = [entry for entry in named if entry[0] not in ("at", "skewed")]
        kept += [(factor, str(estimate.arm.get(factor))) for factor in estimand.minus]
        return estimate.kind, estimate.scale, estimate.subgroups, level, *kept

    def sentence(self, estimate: Estimate, known: Mapping[str, Level] | None = None) -> str:
        """Return an estimate as a sentence without its full stop; the interval is the one that decides its verdict,
        else the 95 % one.

        Args:
            estimate: of the study.
            known: factor -> level that need not be said again, because a sentence before has them.
        """
        estimand = self.estimand(estimate)
        low, high = interval(estimate)
        # The template first: names of levels may have brackets, too.
        sign = leaves_out_0(low, high)
        template = _CHOICE.sub(lambda found: found[{1: 1, -1: 2, 0: 3}[sign]], estimand.phrase)
        signless = sign if template != estimand.phrase else 0
        text = template.format(
            **self._fields(estimand, estimate, template, known or {}), number=number(estimate, signless)
        )
        return text[:1].upper() + text[1:]

    def _words_of(self, factor: str, level: Level) -> LevelWords:
        return self._levels.get(factor, {}).get(level) or _level(factor, level, {})

    def _fields(
        self, estimand: Estimand, estimate: Estimate, template: str, known: Mapping[str, Level]
    ) -> dict[str, Any]:
        arm, factor = dict(estimate.arm), getattr(estimand, "factor", None)
        words: dict[str, Any] = {"name": estimand.name, "measure": measure(estimand.scale)}
        words["subgroup"] = estimate.subgroups[0]
        minus = {} if "{minus}" in template else estimand.minus
        if "{level}" in template and factor in arm and factor not in minus:
            words["level"] = self.level(factor, arm.pop(factor))
        place = ", ".join(
            self.arm({name: level}) + (f" minus {self.arm({name: minus[name]})}" if name in minus else "")
            for name, level in arm.items()
            if name in minus or known.get(name) != level
        )
        words["place"] = f" ({place})" if place else ""
        words["level"] = words.get("level", "the arm")
        for field, what in references(type(estimand)).items():
            value = getattr(estimand, field)
            if value is not None and field not in ("at", "subgroup"):
                words[field] = self._words(what, value, factor)
        return words

    def _words(self, what: str, value: Any, factor: str | None) -> Any:
        """What a field of an estimand names, in words; several things as a tuple."""
        if what == "arm":
            return self.arm(value)
        if what != "level" or factor is None:
            return value
        several = isinstance(value, tuple)
        return tuple(self.level(factor, one) for one in value) if several else self.level(factor, value)


def interval(estimate: Estimate) -> tuple[float, float]:
    """Return the interval that decides the verdict of an estimate; the 95 % one of an exploratory estimate."""
    if math.isnan(estimate.zone_low) and math.isnan(estimate.zone_high):
        return estimate.low, estimate.high
    return estimate.zone_low, estimate.zone_high


def number(estimate: Estimate, sign: int = 0) -> str:
    """Return value, interval and scale of an estimate.

    Args:
        estimate: with its scale and kind.
        sign: 1 or -1 of a number that is written without it; 0 writes the sign.
    """
    from biasprop.estimands import ESTIMANDS

    kind = ESTIMANDS[estimate.kind]
    shown = "" if sign or kind.unit else "+"
    low, high = interval(estimate)
    low, high, value = (low, high, estimate.value) if sign >= 0 else (-high, -low, -estimate.value)
    text = "undefined" if math.isnan(value) else f"{value:{shown}.{kind.digits}f}"
    if not math.isnan(low):
        text += f" [{low:{shown}.{kind.digits}f}, {high:{shown}.{kind.digits}f}]"
    return f"{text} {kind.unit}" if kind.unit else text + on_scale(estimate.scale)


def on_scale(scale: str) -> str:
    """Return the scale of a difference in words, to follow a number."""
    return f" on {scale}" if scale not in METRICS else ("" if scale == "auc" else f" in {measure(scale)}")


def measure(scale: str) -> str:
    """Return what a scale is of, in words."""
    return SCALES[scale].long_name


def _levels(factor: str, levels: Sequence[FactorLevel]) -> dict[Level, LevelWords]:
    """The levels of a factor in words; by their names where they are mixes of several stages, which shares alone would
    not tell apart."""
    words = {level.label: _level(factor, level.label, level.settings) for level in levels}
    if len({one.stage for one in words.values() if one.stage}) > 1:
        return {label: _name(factor, label) for label in words}
    return words


def _level(factor: str, level: Level, settings: Mapping[tuple[Any, ...], Any]) -> LevelWords:
    """A level in words, from what it sets."""
    stage = next((name for name in STAGES if {key[0] for key in settings} == {name}), "")
    set_keys = {key[1:]: value for key, value in settings.items()} if stage else {}
    shares = set_keys.get(("shares",)) if len(set_keys) == 1 else None
    if isinstance(shares, Mapping) and len(shares) == 2 and all(isinstance(x, int | float) for x in shares.values()):
        return LevelWords(_share_of_second(shares), f" in {STAGE_NAMES.get(stage, stage)}")
    if stage == "finetuning" and set_keys.keys() == {("labels",)} and not isinstance(level, str):
        return LevelWords(f"{level:,} labels")
    if stage == "finetuning" and ("protocol",) in set_keys and isinstance(level, str):
        return LevelWords("full fine-tuning" if level == "full" else level.replace("_", " "))
    return _name(factor, level)


def _name(factor: str, level: Level) -> LevelWords:
    """A level by its name, or by that of its factor and its number."""
    return LevelWords(level if isinstance(level, str) else f"{factor} {level:g}")


def _share_of_second(shares: Mapping[str, float]) -> str:
    """The share of the second of two subgroups in per cent; of more subgroups a level's name is shorter."""
    name, share = list(shares.items())[1]
    return f"{100 * share / (sum(shares.values()) or 1.0):.3g} % {name}"


def leaves_out_0(low: float, high: float) -> int:
    """Return 1 or -1 if an interval lies above or below 0, 0 if it includes 0 or is not known."""
    return 1 if low > 0 else (-1 if high < 0 else 0)
