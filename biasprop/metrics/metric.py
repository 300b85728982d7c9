"""What is known of a metric besides its values: what it needs, which values are better, and how it is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from numpy.typing import ArrayLike, NDArray

Need = Literal["labels", "threshold", "threshold_probability"]
"""An argument of a metric: labels [..., n] (0 or 1), the operating threshold [...] (log-odds), or the threshold
probability [...] that the study states."""


@dataclass(frozen=True)
class Link:
    """A scale on which differences of a metric are taken, other than its own."""

    name: str
    """Name of the measure on this scale."""
    long_name: str
    apply: Callable[[ArrayLike, ArrayLike, ArrayLike], tuple[NDArray, NDArray]]
    """``f(value[...], n[...], n_positive[...])``: the value on this scale [...], and whether it was moved [...] because
    it would be infinite."""
    inverse: Callable[[ArrayLike], NDArray]
    """The metric's value [...] at a value [...] of this scale."""


@dataclass(frozen=True)
class Derived:
    """A scale computed from another measure of a subgroup, and not defined for all of its values.

    An estimate is given on it only if it is defined in every replicate that has the measure: leaving out the replicates
    in which it is not would bias the estimate.
    """

    name: str
    """Name of the scale."""
    long_name: str
    of: str
    """The measure it is computed from, such as ``z``."""
    apply: Callable[..., NDArray]
    """``f(measure[...], *references[...]) -> [...]``, rising with the measure; NaN where it is not defined."""
    undefined: str
    """Why it may not be defined, in words."""
    references: tuple[str, ...] = ()
    """Its arguments after the measure: what is known of a subgroup at an arm beside its scores, such as ``ideal_z``."""
    unit: str = ""


@dataclass(frozen=True)
class Metric:
    """A function of scores with one value per leading index, and its properties."""

    function: Callable[..., NDArray]
    """``f(scores[..., n], *needs, weight=None) -> [...]``; of twins ``f(scores[..., subgroup, n], *needs, weight=None)
    -> [...]``."""
    long_name: str
    """Name in figures and texts."""
    needs: tuple[Need, ...] = ("labels",)
    """Its arguments after the scores, in this order."""
    direction: Literal[1, 0, -1] = 0
    """1 if higher is better, -1 if lower is better, 0 if neither is (counts, or a metric with a best value inside)."""
    unit: str = ""
    """Unit; empty for a number without one."""
    link: Link | None = None
    """Scale of contrasts, other than its own."""
    derived: tuple[Derived, ...] = ()
    """Further scales of contrasts, computed from it or from its link."""
    twins: bool = False
    """Whether it compares the twins of a subject, so that it has one value for all subgroups together."""
    count: bool = False
    """Whether it is a number of subjects: 0 where there is nothing, and never compared between subgroups."""
    table: Literal["", "operating point", "calibration"] = ""
    """Printed table that has it as a column; empty if it is in ``biasprop.dataframe`` only."""
    heading: str = ""
    """Heading of that column."""
    digits: int = 3
    """Decimals in tables."""
    signed: bool = False
    """Whether tables print a sign and figures a line at 0."""


class Scale(NamedTuple):
    """A measure of one subgroup that contrasts can be taken of."""

    long_name: str
    direction: Literal[1, 0, -1]
    unit: str
    needs: tuple[Need, ...]
    metric: str
    """The metric that it is a scale of."""
    derived: Derived | None = None
    """How it is computed from another measure; None for a measure of its own."""


def scales(metrics: Mapping[str, Metric]) -> dict[str, Scale]:
    """Return every measure that contrasts can be taken of: metrics, metrics on their link and on derived scales, and
    metrics at a threshold of each subgroup's own.

    Args:
        metrics: name -> metric.
    """
    found: dict[str, Scale] = {}
    compared = {name: metric for name, metric in metrics.items() if not (metric.twins or metric.count)}
    for name, metric in compared.items():
        if metric.link:
            found[metric.link.name] = Scale(metric.link.long_name, metric.direction, "", metric.needs, name)
        found[name] = Scale(metric.long_name, metric.direction, metric.unit, metric.needs, name)
        for one in metric.derived:
            found[one.name] = Scale(one.long_name, metric.direction, one.unit, metric.needs, name, one)
    for name, metric in compared.items():
        if "threshold" in metric.needs:
            own = f"{metric.long_name} at own threshold"
            found[f"own_{name}"] = Scale(own, metric.direction, metric.unit, metric.needs, f"own_{name}")
    return found
