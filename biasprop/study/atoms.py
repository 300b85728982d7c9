"""From tables that name groups to tables that name subgroups, so that everything later sees subgroups only.

With a table ``[population]``, a key that names a subgroup may name a group instead. :func:`by_subgroup` puts the
group's subgroups in its place: levers of the generator and shifts apply to each of them, a share is divided equally
among them, a prevalence is that of each. The tables as they were written are kept beside the result
(:attr:`biasprop.study.conditions.Conditions.written`), because levels of factors set keys of those.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from biasprop.population.attributes import Population
from biasprop.population.shifts import PRESETS
from biasprop.study.checks.fields import validate_fields
from biasprop.study.checks.population import population_problems
from biasprop.study.location import Location
from biasprop.study.problems import Problem, suggestion

if TYPE_CHECKING:
    from biasprop.study.conditions import Conditions

Model = TypeVar("Model", bound="Conditions")

STAGES = ("pretraining", "finetuning", "evaluation")

LABELS_ONLY = ("prevalence", "missed", "false_alarm")
"""Shifts of a population that are not applied to the evaluation: they change labels, not images."""


@dataclass
class BySubgroup:
    """Tables of a study in which subgroups have replaced groups."""

    table: dict[str, Any]
    """The tables."""
    population: Population | None = None
    """The population; None without one, or with one that has problems."""
    written: dict[Location, Any] = field(default_factory=dict)
    """Location -> value, as written, of what was replaced."""
    sources: dict[Location, Location] = field(default_factory=dict)
    """Location in ``table`` -> location of the key it comes from."""
    problems: list[Problem] = field(default_factory=list)
    """What could not be replaced."""

    def validated(self, model: type[Model]) -> tuple[Model | None, list[Problem]]:
        """The tables as a model, which keeps what was written; or None and every problem, as the file has it."""
        if self.problems and self.population is None:
            return None, self.problems
        valid, problems = validate_fields(model, self.table)
        known = {problem.location[:2] for problem in self.problems}
        located = [self.located(problem) for problem in problems]
        every = list(dict.fromkeys([*self.problems, *(p for p in located if p.location[:2] not in known)]))
        if valid is not None:
            valid._written.update(self.written)
        return (None if every else valid), every

    def located(self, problem: Problem) -> Problem:
        """A problem of ``table``, at the key that the study file has."""
        for end in range(len(problem.location), 0, -1):
            if problem.location[:end] in self.sources:
                return problem.below(self.sources[problem.location[:end]], end)
        return problem


def by_subgroup(table: Mapping[str, Any]) -> BySubgroup:
    """Replace groups by subgroups; tables without ``[population]`` stay as they are."""
    result = BySubgroup(dict(table))
    if "population" not in table:
        return result
    population, problems = validate_fields(Population, table["population"])
    problems = problems if population is None else population_problems(population)
    if population is None or problems:
        result.problems = [problem.below(("population",)) for problem in problems]
        return result
    result.table, result.population = copy.deepcopy(result.table), population
    replacement = _Replacement(result, population)
    replacement.levers()
    replacement.weights()
    for stage in STAGES:
        replacement.stage(stage)
    return result


@dataclass
class _Replacement:
    """One pass over the tables of a study."""

    result: BySubgroup
    population: Population

    def __post_init__(self) -> None:
        self.members = self.population.members()
        self.subgroups = tuple(self.population.combinations())

    def levers(self) -> None:
        """``generator.subgroups``: subgroups in the order of the population."""
        location: Location = ("generator", "subgroups")
        if (tables := self._taken("generator", "subgroups")) is None:
            return
        merged = self._merged(location, tables)
        if missing := [name for name in self.subgroups if name not in merged]:
            self._problem(location, f"has no levers for {', '.join(missing)}; name each subgroup, or a group of it")
        self.result.table["generator"]["subgroups"] = {name: merged[name] for name in self.subgroups if name in merged}

    def weights(self) -> None:
        """``population.weights``: one of every subgroup."""
        if weights := self._taken("population", "weights"):
            found = self._shares(("population", "weights"), weights)
            self.result.table["population"]["weights"] = found
            for name, weight in weights.items():
                if not isinstance(weight, dict) and not (_is_number(weight) and 0 <= weight < math.inf):
                    self._problem(("population", "weights", name), f"is {weight!r}; has to be a number of at least 0")
                    return
            for name, inside in self.members.items():
                if name not in self.subgroups and not any(found.get(subgroup) for subgroup in inside):
                    self._problem(("population", "weights"), f"leaves {name} without a test subject of positive weight")

    def stage(self, stage: str) -> None:
        """Shares, prevalence and shifts of one stage."""
        if not isinstance(self.result.table.get(stage, {}), dict):
            return
        table = self.result.table.setdefault(stage, {})
        if (shares := self._taken(stage, "shares")) is not None:
            table["shares"] = self._shares((stage, "shares"), shares)
        shifts = self._merged((stage, "shifts"), self._taken(stage, "shifts") or {}, PRESETS)
        if (prevalence := self._taken(stage, "prevalence")) is not None:
            table["prevalence"] = self._prevalence((stage, "prevalence"), prevalence, shifts)
        self._add_population_shifts(stage, shifts)
        if shifts:
            table["shifts"] = {name: shifts[name] for name in self.subgroups if name in shifts}
        if not table:
            del self.result.table[stage]

    def _taken(self, *location: str) -> dict[str, Any] | None:
        """A table of the study, which is kept as written; None if it is not a table."""
        owner = self.result.table.get(location[0])
        value = owner.get(location[1]) if isinstance(owner, dict) else None
        if not isinstance(value, dict):
            return None
        self.result.written[location] = copy.deepcopy(value)
        return value

    def _problem(self, location: Location, what: str) -> None:
        self.result.problems.append(Problem(location, what))

    def _owners(self, location: Location, names: Mapping[str, Any]) -> dict[str, list[str]]:
        """Subgroup -> the keys that name it or a group of it; a key that names neither is a problem."""
        owners: dict[str, list[str]] = {}
        for name in names:
            if name not in self.members:
                message = f"there is no such subgroup or group; {suggestion(name, self.members)}"
                self._problem((*location, name), message)
            for subgroup in self.members.get(name, ()):
                owners.setdefault(subgroup, []).append(name)
        return owners

    def _merged(
        self, location: Location, tables: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Tables by subgroup, from tables by subgroup or group; two that set one key of a subgroup are a problem.

        Args:
            location: of the tables.
            tables: by subgroup or group; the name of a preset may stand for a table.
            presets: those that can be merged with other tables.
        """
        merged: dict[str, Any] = {}
        for subgroup, owners in self._owners(location, tables).items():
            place: Location = (*location, subgroup)
            values = [_with_preset(tables[owner], presets or {}) for owner in owners]
            if len(values) == 1:
                merged[subgroup] = copy.deepcopy(values[0])
                self.result.sources[place] = (*location, owners[0])
                continue
            merged[subgroup] = {}
            if not all(isinstance(value, dict) for value in values):
                first, second, *_ = owners
                self._problem((*location, second), f"cannot be combined with {first}; {subgroup} belongs to both")
                continue
            for owner, value in zip(owners, values, strict=True):
                where: Location = (*location, owner)
                for key in value:
                    if key in merged[subgroup]:
                        other = self.result.sources[(*place, key)][-2]
                        self._problem((*where, key), f"is set by {other} as well, for {subgroup}")
                    else:
                        merged[subgroup][key] = copy.deepcopy(value[key])
                        self.result.sources[(*place, key)] = (*where, key)
        return merged

    def _shares(self, location: Location, shares: dict[str, Any]) -> dict[str, Any]:
        """Shares, or weights, of every subgroup."""
        several = str(location[-1])
        one = several.removesuffix("s")
        attributes = self.population.all_attributes()
        if shares and all(isinstance(value, dict) for value in shares.values()):
            return self._product(location, shares, attributes)
        for name in [name for name, value in shares.items() if isinstance(value, dict)]:
            self._problem((*location, name), f"mixes {several} of attributes and of subgroups; give one of them")
        owners = self._owners(location, shares)
        for subgroup, names in owners.items():
            if len(names) > 1:
                self._problem((*location, names[1]), f"{subgroup} has a {one} from {names[0]} already")
        if missing := [name for name in self.subgroups if name not in owners]:
            message = f"has no {one} for {', '.join(missing)}; every subgroup needs one, 0 where it is absent"
            self._problem(location, message)
        found = {}
        for subgroup in self.subgroups:
            if subgroup in owners:
                (name, *_), place = owners[subgroup], (*location, subgroup)
                self.result.sources[place] = (*location, name)
                share, count = shares[name], len(self.members[name])
                found[subgroup] = share / count if _is_number(share) and count > 1 else share
        return found

    def _product(
        self, location: Location, shares: dict[str, Any], attributes: Mapping[str, tuple[str, ...]]
    ) -> dict[str, Any]:
        """Shares, or weights, of subgroups from those of attributes, which are independent; an attribute left out has
        equal ones."""
        several = str(location[-1])
        one, most = several.removesuffix("s"), 1 if several == "shares" else math.inf
        combinations = self.population.combinations()
        if len({tuple(own.items()) for own in combinations.values()}) < math.prod(map(len, attributes.values())):
            self._problem(location, "needs a subgroup for every combination of values, and the population has fewer")
        margins: dict[str, dict[str, float]] = {}
        count = len(self.result.problems)
        for name, margin in shares.items():
            place: Location = (*location, name)
            if name not in attributes:
                self._problem(place, f"there is no such attribute; {suggestion(name, attributes)}")
                continue
            for value in margin:
                if value not in attributes[name]:
                    self._problem((*place, value), f"{name} has no such value; {suggestion(value, attributes[name])}")
                elif not _is_number(margin[value]) or not 0 <= margin[value] <= most or margin[value] == math.inf:
                    limits = "from 0 to 1" if most == 1 else "of at least 0"
                    self._problem((*place, value), f"is {margin[value]!r}; has to be a number {limits}")
            if missing := [value for value in attributes[name] if value not in margin]:
                self._problem(place, f"has no {one} for {', '.join(missing)}; 0 where it is absent")
            if several == "shares" and count == len(self.result.problems) and abs(sum(margin.values()) - 1) > 1e-6:
                self._problem(place, f"shares must sum to 1; these sum to {sum(margin.values()):g}")
            margins[name] = margin
        if count < len(self.result.problems):
            return {subgroup: 1 / len(self.subgroups) for subgroup in self.subgroups}
        for name, values in attributes.items():
            margins.setdefault(name, dict.fromkeys(values, 1 / len(values)))
        return {
            subgroup: float(math.prod(margins[name][value] for name, value in own.items()))
            for subgroup, own in combinations.items()
        }

    def _prevalence(self, location: Location, prevalence: dict[str, Any], shifts: dict[str, Any]) -> Any:
        """The prevalence of the first subgroup; those of the others become prevalence shifts from it."""
        owners = self._owners(location, prevalence)
        count = len(self.result.problems)
        for name, value in prevalence.items():
            if not _is_number(value) or not 0 < value < 1:
                self._problem((*location, name), f"is {value!r}; has to be a number above 0 and below 1")
        for subgroup, names in owners.items():
            if len(names) > 1:
                self._problem((*location, names[1]), f"{subgroup} has a prevalence from {names[0]} already")
            if "prevalence" in (shifts.get(subgroup) or {}):
                self._problem((*location, names[0]), f"{subgroup} has a prevalence shift as well; give one of them")
        if missing := [name for name in self.subgroups if name not in owners]:
            self._problem(location, f"has none for {', '.join(missing)}; every subgroup needs one")
        if count < len(self.result.problems) or missing:
            return 0.5
        stated = {subgroup: prevalence[owners[subgroup][0]] for subgroup in self.subgroups}
        first = stated[self.subgroups[0]]
        for subgroup, value in stated.items():
            if value != first:
                shifts.setdefault(subgroup, {})["prevalence"] = _logit(value) - _logit(first)
                self.result.sources[(*location[:1], "shifts", subgroup, "prevalence")] = location
        return first

    def _add_population_shifts(self, stage: str, shifts: dict[str, Any]) -> None:
        """Shifts of the population where the stage sets none."""
        stated = {name: shift.model_dump(exclude_unset=True) for name, shift in self.population.shifts.items()}
        for subgroup, own in self._merged(("population", "shifts"), stated).items():
            added = {key: value for key, value in own.items() if stage != "evaluation" or key not in LABELS_ONLY}
            here = _with_preset(shifts.get(subgroup, {}), PRESETS)
            if added and isinstance(here, dict):
                shifts[subgroup] = added | here


def _with_preset(value: Any, presets: Mapping[str, Mapping[str, Any]]) -> Any:
    """A table in which the name of a preset is replaced by its values; anything else as it is."""
    name = value.get("kind") if isinstance(value, dict) else value
    if not isinstance(name, str) or name not in presets:
        return value
    return {**presets[name], **({k: v for k, v in value.items() if k != "kind"} if isinstance(value, dict) else {})}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
