"""Numbers for a manuscript to cite, each with its provenance."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
FIELDS = (
    *("value", "low", "high", "adjusted_low", "adjusted_high", "se"),
    *("p_difference", "p_equivalence", "replicates", "verdict"),
)
"""Fields of an estimate that can be cited."""


@dataclass(frozen=True)
class Number:
    """One number with its provenance."""

    study: str
    store: str
    """Name of the store's folder, which ends in the digest."""
    function: str
    """Dotted name of the function that computed it."""
    selector: dict[str, Any]
    """Dim -> level: the arm, and the subgroup if it is of one."""
    quantity: str
    """Name of the quantity, such as an estimand's name."""
    field: str
    """Part of it: value, low, high ..."""
    value: float | int | str

    @property
    def macro(self) -> str:
        r"""Its LaTeX macro: letters only, so 200 labels becomes ``\...LabelsTwoZeroZero...``."""
        levels = [f"{dim} {level}" for dim, level in self.selector.items()]
        return letters(" ".join([self.study, self.quantity, *levels, self.field]))

    def text(self) -> str:
        """Return the number as text."""
        if isinstance(self.value, str):
            return self.value
        if not math.isfinite(self.value):
            return "undefined"
        if isinstance(self.value, int) or self.quantity.startswith("halving"):
            return f"{self.value:,.0f}"
        if self.field.startswith("p_"):
            return f"{self.value:.3f}" if self.value >= 0.001 else "<0.001"
        return f"{self.value:.3f}" if self.quantity == "AUC" else f"{self.value:.2f}"

    def entry(self) -> dict[str, Any]:
        """Return the entry for JSON; NaN is null."""
        undefined = isinstance(self.value, float) and not math.isfinite(self.value)
        where = {"study": self.study, "store": self.store, "function": self.function, "selector": self.selector}
        what = {"quantity": self.quantity, "field": self.field, "value": None if undefined else self.value}
        return {"macro": self.macro, **what, "text": self.text(), **where}


def of_estimates(study: str, store: str, estimates: Sequence[Any]) -> list[Number]:
    """Return the fields of every estimate of a study."""
    function = "biasprop.statistics.estimate.estimates"
    return [
        Number(study, store, function, dict(row.arm), row.name, field, getattr(row, field))
        for row in estimates
        for field in FIELDS
    ]


def of_levels(study: str, store: str, measures: xr.Dataset) -> list[Number]:
    """Return the AUC of every arm and subgroup: mean over replicates and 95 % t interval, computed on z.

    Args:
        study, store: names of the study and of the store's folder.
        measures: from ``statistics.measures.measure``.
    """
    import numpy as np
    from scipy.special import ndtr

    from biasprop.statistics.intervals import t_interval
    from biasprop.statistics.measures import per_replicate

    z = per_replicate(measures, "z").transpose(..., "replicate")
    function = "biasprop.statistics.intervals.t_interval"
    found = []
    for index in np.ndindex(*z.shape[:-1]):
        one = z[index]
        selector = {dim: one[dim].item() for dim in map(str, z.dims[:-1])}
        interval = t_interval(one.values)
        for field in ("value", "low", "high"):
            value = float(ndtr(getattr(interval, field) / math.sqrt(2)))
            found.append(Number(study, store, function, selector, "AUC", field, value))
    return found


def macros(numbers: Sequence[Number], captions: Mapping[str, str]) -> str:
    """Return a LaTeX file of ``\\newcommand`` macros.

    Raises:
        ValueError: two numbers would have the same macro.
    """
    lines = ["% Made by python -m paper.make; edits are lost."]
    seen: dict[str, Number] = {}
    for number in numbers:
        if number.macro in seen:
            raise ValueError(f"{number} and {seen[number.macro]} would both be \\{number.macro}")
        seen[number.macro] = number
        lines.append(f"\\newcommand{{\\{number.macro}}}{{{_escaped(number.text())}}} % {number.store}")
    lines += [f"\\newcommand{{\\{letters(f'caption {name}')}}}{{{_escaped(text)}}}" for name, text in captions.items()]
    return "\n".join(lines) + "\n"


def letters(words: str) -> str:
    """Return letters only, words capitalised but the first: ``skin_tone 50/50`` is ``skinToneFiveZeroFiveZero``."""
    spelled = re.sub(r"-(?=\d)", " minus ", words)
    spelled = re.sub(r"(?<=\d)\.(?=\d)", " point ", spelled)
    spelled = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit.group())]} ", spelled)
    parts = re.findall(r"[A-Za-z]+", spelled)
    return "".join(part if i == 0 else part[0].upper() + part[1:] for i, part in enumerate(parts))


def _escaped(text: str) -> str:
    shown = re.sub(r"([%&#_$])", r"\\\1", text).replace("<", "\\ensuremath{<}")
    return re.sub(r"^-(?=\d)", r"\\ensuremath{-}", shown)
