"""Estimands: quantities that a study file states before anything runs, and what each kind of them has to define.

The kinds are the members of ``biasprop.estimands``. Here are the fields that all of them have, and the values that
intervals and tests are computed from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from biasprop.component import Definition, FieldProblems, NameOf
from biasprop.metrics import SCALES

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate

Level = str | int | float
"""The name or the number of one level of a factor, as it stands in the cube's coord."""

Arm = dict[str, Level]
"""Factor -> level."""

Role = Literal["primary", "secondary", "exploratory"]
"""What an estimand is in its study; see the fields ``primary`` and ``secondary``."""

MARGIN = 0.10
"""Margin of a difference on z between two levels, or of a gap between two subgroups."""
AUC_PER_Z = 0.16
"""Difference of AUC per difference on z, near an AUC of 0.85: the derivative there is 0.165."""

PATIENTS = (
    "z is d' of the equal-variance binormal model: at a specificity of 0.90 sensitivity is Phi(z - 1.28), so that "
    "at an AUC of 0.85 (z = 1.47) a loss of 0.10 is about 4 more missed among 100 diseased people"
)
"""Reason of :data:`MARGIN`."""
HALF_OF = (
    "it is half of a sum or difference of gaps, so that 0.05 is 0.10 on that sum or difference, the margin of a gap: "
    "about 4 more missed among 100 diseased people of one subgroup than of the other"
)
"""Reason of half that margin."""


@dataclass(frozen=True)
class RefersTo:
    """Annotation: what of the study a field of an estimand names, so that a study file is checked for it.

    Args:
        what: ``factor``; ``budget``, a factor whose levels are label budgets; ``level``, one or more levels of the
            field ``factor``; ``arm``, a table factor -> level; or ``subgroup``, one or more of them.
    """

    what: Literal["factor", "budget", "level", "arm", "subgroup"]


FactorName = Annotated[str, RefersTo("factor")]
BudgetName = Annotated[str, RefersTo("budget")]
LevelName = Annotated[Level, RefersTo("level")]
TwoLevels = Annotated[tuple[Level, Level], Field(min_length=2, max_length=2), RefersTo("level")]
NamedArm = Annotated[Arm, RefersTo("arm")]


class Values(NamedTuple):
    """Values of an estimand at one arm, one per replicate."""

    values: xr.DataArray | NDArray[Any]
    """[replicate], or [replicate, budget] for a curve, or [replicate, subgroup] of several subgroups; numerators if
    there is a denominator."""
    denominator: xr.DataArray | NDArray[Any] | None = None
    """[replicate], of a ratio of means."""
    budgets: tuple[float, ...] = ()
    """Label budgets of a curve, in increasing order."""
    why: str = ""
    """Why values are missing (empty if only replicates that lack an arm are), or in what range they hold."""
    counted_from: float = 0.0
    labels_per_unit: float = 1.0
    """How labels read off a curve become the value: (labels - counted_from) / labels_per_unit."""


class Inputs(NamedTuple):
    """One arm, and the measures its values are computed from."""

    measures: xr.Dataset
    values: xr.DataArray
    """[replicate, factors], or [replicate, factors, subgroup] of several subgroups, on the estimand's scale
    (:meth:`Estimand.reduce`)."""
    arm: Arm
    subgroups: tuple[str, ...]

    def without(self, name: str) -> Arm:
        """Return the arm without one of its factors."""
        return {factor: level for factor, level in self.arm.items() if factor != name}

    def levels(self, name: str) -> list[Level]:
        """Return the levels of a factor."""
        return self.measures[name].values.tolist()


class Estimand(Definition):
    """The fields of every kind of estimand, and what a kind defines: its arms, its values and how they are read."""

    kind: str
    """What is measured."""

    name: Annotated[str, Field(min_length=1)]
    """Name in tables and figures."""

    at: NamedArm = Field(default={})
    """The arm: factor -> level. A factor left out gives one estimate for each of its levels."""

    minus: NamedArm = Field(default={})
    """Another arm, at which the same contrast is subtracted: factor -> level. A factor left out is that of the arm
    itself."""

    scale: Annotated[str, NameOf(SCALES)] = "z"
    """z = sqrt(2) * inverse normal CDF of the AUC, or a metric: the AUC itself, sensitivity, Brier score ... Draws are
    averaged and contrasts taken on it. A name that begins with ``own_`` takes each subgroup's own threshold. Left out
    of a study file: the link of the task, z for ``disease``."""

    margin: Annotated[float, Field(gt=0)] | None = None
    """The margin: an effect smaller than this does not matter. In the unit of the values. Left out: that of the kind
    (``default_margin``) on z, 0.16 times it on auc; on other scales a primary or secondary estimand has to give one."""

    sign: Literal["positive", "negative", "either"] | None = None
    """The expected sign. Left out: positive for swap_contrast and retention (a mix skewed to A favours A),
    own_representation, worth, amplification, exchange_rate and sign_share, either for the others and with ``minus``;
    negative where positive is meant and a low value of the scale is the better one."""

    primary: bool = False
    """The one estimand whose 95 % interval decides its verdict."""

    secondary: bool = False
    """One of at most five tables whose intervals hold together at 95 % (Bonferroni over all their estimates) and decide
    their verdicts. An estimand that is neither primary nor secondary is exploratory: it has no verdict."""

    runs_over: ClassVar[tuple[str, ...]] = ()
    """Fields whose factor, or factors, the contrast runs over, so that ``at`` cannot fix a level of them."""
    favours_a: ClassVar[bool] = False
    """Whether it is expected to favour subgroup A unless the estimand gives a sign."""
    unit: ClassVar[str] = ""
    """Unit of its values; empty for a difference on the estimand's scale."""
    digits: ClassVar[int] = 3
    """Decimals of its values in tables."""
    interval: ClassVar[Literal["t", "Fieller", "inverse t", "generalised", "simultaneous"]] = "t"
    """Interval over replicates: Student's t of a mean, Fieller's of a ratio of means
    (:mod:`biasprop.statistics.intervals`), the inverse of a t test for labels read off a curve
    (:mod:`biasprop.statistics.curves`), the generalised one of a share (:mod:`biasprop.statistics.stability`), or
    simultaneous ones of several subgroups (:mod:`biasprop.statistics.simultaneous`)."""
    phrase: ClassVar[str] = "{name}{place} is {number}"
    """An estimate in one plain sentence, without its full stop; :mod:`biasprop.report.wording` fills it in.

    ``{name}`` is the estimand's, ``{measure}`` what the scale is of, ``{subgroup}`` that of an estimate of one,
    ``{level}`` the arm's level of ``factor``, ``{place}`` the rest of the arm, ``{number}`` value and interval. Fields
    that name something of the study stand in words: ``{subgroups[0]}``, ``{reference}``, ``{skewed[1]}``. Of
    ``[grows|shrinks|changes]`` the first is said where the interval lies above 0 and the second where it lies below,
    both with a number without sign, and the third where it includes 0."""
    over_settings: ClassVar[bool] = False
    """Whether it is of the differences between sampled settings, so that a study needs a ``[sample]``."""
    of_groups: ClassVar[bool] = True
    """Whether it is also of groups of several subgroups where the study file names no subgroup."""
    tested: ClassVar[bool] = True
    """Whether its interval may be compared with a margin, so that it can be primary or secondary."""
    of_level: ClassVar[bool] = False
    """Whether it is a change of a level, so that a positive value is a gain where high values are good; else a gap or
    made of gaps, so that it is a loss of subgroup B."""
    default_margin: ClassVar[float | None] = None
    """Margin of an estimand that gives none, in the kind's unit, or on z; None: there is no default."""
    margin_reason: ClassVar[str] = ""
    """Why an effect smaller than the default margin does not matter."""

    @model_validator(mode="after")
    def _consistent(self) -> Estimand:
        problems = list(self.problems())
        arms = (name for name, what in references(type(self)).items() if what == "arm" and name not in self.runs_over)
        for table in arms:
            problems += [
                f"{table} must not fix {factor}: the contrast runs over it"
                for factor in self._contrasted()
                if factor in (getattr(self, table) or {})
            ]
        if self.minus and self.interval != "t":
            problems.append(f"a {self.kind} is no mean of paired values, so nothing can be subtracted from it")
        if self.minus and self.minus.items() <= self.at.items():
            problems.append("at must not be the arm that is subtracted: the difference from itself is 0 by definition")
        if self.primary and self.secondary:
            problems.append("cannot be primary and secondary at once")
        if self.role != "exploratory" and not self.tested:
            problems.append(f"a {self.kind} has no verdict, so it cannot be {self.role}")
        elif self.role != "exploratory" and self.margin_used is None:
            what = f"a {self.kind}" if self.unit else f"the scale {self.scale}"
            problems.append(f"a {self.role} estimand needs a margin, and {what} has no default; give margin")
        if problems:
            raise FieldProblems(((), problem) for problem in problems)
        return self

    def _contrasted(self) -> tuple[str, ...]:
        named = [getattr(self, field) for field in self.runs_over]
        return tuple(
            dict.fromkeys(name for value in named for name in ([value] if isinstance(value, str) else value or ()))
        )

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        return ()

    def mistakes(self, levels: Mapping[str, Sequence[Level]]) -> Iterable[tuple[tuple[str, ...], str]]:
        """Return what is wrong with the levels that the estimand names, as (key, what is wrong).

        Args:
            levels: factor -> its levels in the study.
        """
        return ()

    @property
    def role(self) -> Role:
        """What decides its verdict: ``primary`` or ``secondary`` intervals; nothing if it is ``exploratory``."""
        return "primary" if self.primary else "secondary" if self.secondary else "exploratory"

    @property
    def margin_used(self) -> float | None:
        """The margin given, else the default of the kind; None if there is none on the estimand's scale."""
        if self.margin is not None or self.default_margin is None:
            return self.margin
        return self.default_margin if self.unit else on_scale(self.default_margin, self.scale)

    @property
    def expected(self) -> int:
        """The expected sign of the value: 1, -1, or 0 for either."""
        if self.sign:
            return {"positive": 1, "negative": -1, "either": 0}[self.sign]
        if not self.favours_a or self.minus:
            return 0
        return 1 if self.unit else SCALES[self.scale].direction

    @property
    def pair(self) -> tuple[str, str] | None:
        """A and B, the two subgroups that are compared; None for an estimand of one subgroup."""
        return None

    @property
    def skew(self) -> tuple[str, tuple[Level, Level]] | None:
        """The factor with the skewed levels, and its levels skewed to A and to B; None for a kind without them."""
        return None

    @property
    def compared_with(self) -> tuple[str, Level] | None:
        """The factor with the reference level, and that level; None for a kind without one."""
        return None

    def free(self, factors: Sequence[str]) -> tuple[str, ...]:
        """Return the factors that give one estimate for each of their levels.

        Args:
            factors: names of the study's factors.

        Returns:
            Factors that ``at`` does not fix and the contrast does not run over, in the study's order.
        """
        return tuple(name for name in factors if name not in {*self.at, *self._contrasted()})

    @abstractmethod
    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the subgroups that each estimate of an arm is of.

        Args:
            known: names of all subgroups.
        """

    def left_out(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm would be compared with itself, so that it gets no estimate.

        Args:
            arm: factor -> level.
            levels: factor -> its levels in the cube.
        """
        subtracted = bool(self.minus) and self.minus.items() <= arm.items()
        return subtracted or self.is_reference(arm, levels)

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is the reference of the kind; arguments as for :meth:`left_out`."""
        return False

    @abstractmethod
    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return what the contrast is taken of, such as a gap between subgroups.

        Args:
            values: [factors, replicate, subgroup], on the estimand's scale.
            subgroups: one entry of :meth:`subgroup_sets`.

        Returns:
            [factors, replicate], or [factors, replicate, subgroup] where the estimand needs all of them.
        """

    @abstractmethod
    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arms that the values at one arm need."""

    @abstractmethod
    def values(self, inputs: Inputs) -> Values:
        """Return the values at one arm, whose needed arms are all in the cube; NaN where a replicate lacks one."""

    def untested(self, contrast: Paired, empty: Estimate) -> Estimate | None:
        """Return the estimate of a kind that is not tested; None for the mean or ratio over replicates with its plain
        interval, which is that of all tested kinds.

        Args:
            contrast: its values at one arm.
            empty: the estimate with name, arm and number of replicates, and no value.
        """
        return None


def on_scale(margin: float, scale: str) -> float | None:
    """Return a margin that is stated on z on another scale: itself on z, :data:`AUC_PER_Z` times it on auc, else None.

    Args:
        margin: difference on z, > 0.
        scale: a name in ``SCALES``.
    """
    return {"z": margin, "auc": AUC_PER_Z * margin}.get(scale)


def references(kind: type[Estimand]) -> dict[str, str]:
    """Return the fields of a kind of estimand that name something of the study: field -> what (:class:`RefersTo`)."""
    marks = {
        name: [mark.what for mark in field.metadata if isinstance(mark, RefersTo)]
        for name, field in kind.model_fields.items()
    }
    return {name: what[0] for name, what in marks.items() if what}


def compared_pair(estimands: Iterable[Estimand], subgroups: Sequence[str]) -> tuple[str, str] | None:
    """Return A and B of the primary estimand, else of the first one that compares two subgroups, else the first two
    subgroups; None with one subgroup. Every gap that a report gives beside the estimands is between these two."""
    pairs = (estimand.pair for estimand in sorted(estimands, key=lambda e: not e.primary))
    stated = next((pair for pair in pairs if pair), None)
    return stated or ((subgroups[0], subgroups[1]) if len(subgroups) > 1 else None)
