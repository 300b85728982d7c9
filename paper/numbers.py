"""Numbers for a manuscript to cite, each with its provenance."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biasprop import terminal

if TYPE_CHECKING:
    import xarray as xr

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
FIELDS = (
    *("value", "low", "high", "zone_low", "zone_high", "se"),
    *("margin", "role", "replicates", "verdict"),
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

    def macro(self, *, spelled: bool = False) -> str:
        r"""Its LaTeX macro: letters only, so 200 labels becomes ``\...LabelsTwoZeroZero...``.

        Args:
            spelled: with the names of punctuation marks and spaces.
        """
        levels = [f"{dim} {level}" for dim, level in self.selector.items()]
        return letters(" ".join([self.study, self.quantity, *levels, self.field]), spelled=spelled)

    def text(self) -> str:
        """Return the number as text."""
        if isinstance(self.value, str):
            return self.value
        if not math.isfinite(self.value):
            return "undefined"
        if isinstance(self.value, int) or self.quantity.startswith("halving"):
            return f"{self.value:,.0f}"
        if self.field == "margin":
            return f"{self.value:g}"
        return f"{self.value:.3f}" if self.quantity == "AUC" else f"{self.value:.2f}"

    def entry(self, macro: str) -> dict[str, Any]:
        """Return the entry for JSON, with its macro; NaN is null."""
        undefined = isinstance(self.value, float) and not math.isfinite(self.value)
        where = {"study": self.study, "store": self.store, "function": self.function, "selector": self.selector}
        what = {"quantity": self.quantity, "field": self.field, "value": None if undefined else self.value}
        return {"macro": macro, **what, "text": self.text(), **where}


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


def macro_names(numbers: Sequence[Number]) -> list[str]:
    """Return the macro of every number; with punctuation spelled out where two differ in nothing else, as in ``a+`` and
    ``a-``.

    Raises:
        InputError: two numbers would have the same macro all the same.
    """
    from biasprop.component import InputError

    uses = Counter(number.macro() for number in numbers)
    names = [number.macro(spelled=uses[number.macro()] > 1) for number in numbers]
    first: dict[str, Number] = {}
    for name, number in zip(names, numbers, strict=True):
        if name in first:
            raise InputError(f"{number.store}: {number} and {first[name]} would both be \\{name}; rename one")
        first[name] = number
    return names


def macros(numbers: Sequence[Number], captions: Mapping[str, str]) -> str:
    """Return a LaTeX file of ``\\newcommand`` macros; see :func:`macro_names`."""
    lines = ["% Made by python -m paper.make; edits are lost."]
    for name, number in zip(macro_names(numbers), numbers, strict=True):
        store = terminal.printable(number.store)  # a line break would end the comment
        lines.append(f"\\newcommand{{\\{name}}}{{{_escaped(number.text())}}} % {store}")
    lines += [f"\\newcommand{{\\{letters(f'caption {name}')}}}{{{_escaped(text)}}}" for name, text in captions.items()]
    return "\n".join(lines) + "\n"


def letters(words: str, *, spelled: bool = False) -> str:
    """Return letters only, words capitalised but the first: ``skin_tone 50/50`` is ``skinToneFiveZeroFiveZero``.

    Args:
        words: any text; characters outside ASCII are replaced by their Unicode names.
        spelled: replace punctuation and spaces by their names as well, instead of leaving them out.
    """
    plain = words if spelled else re.sub(r"-(?=\d)", " minus ", words)
    spelt = re.sub(r"[^\w]|_|[^\x00-\x7f]" if spelled else r"[^\x00-\x7f]", _unicode_name, plain)
    spelt = re.sub(r"(?<=\d)\.(?=\d)", " point ", spelt)
    spelt = re.sub(r"[0-9]", lambda digit: f" {DIGITS[int(digit.group())]} ", spelt)
    parts = re.findall(r"[A-Za-z]+", spelt)
    return "".join(part if i == 0 or spelled else part[0].upper() + part[1:] for i, part in enumerate(parts))


def _unicode_name(found: re.Match[str]) -> str:
    name = unicodedata.name(found[0], f"u {ord(found[0]):x}")
    return f" {name.replace('-', ' ').title()} "


def _escaped(text: str) -> str:
    shown = re.sub(r"([%&#_$])", r"\\\1", text).replace("<", "\\ensuremath{<}")
    return re.sub(r"^-(?=\d)", r"\\ensuremath{-}", shown)
