"""Subgroups as combinations of attributes, and groups as unions of subgroups.

:class:`Population` is the table ``[population]`` of a study file; :class:`Attributes` is what sampling needs of it.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from biasprop.component import Component, Definition, Preset
from biasprop.population.random_attributes import LAWS, RandomAttribute
from biasprop.population.shifts import PRESETS, Shift

Values = Annotated[tuple[str, ...], Field(min_length=2, max_length=64)]

_NUMBER = {"type": "number", "minimum": 0}
WEIGHTS = {"type": "object", "additionalProperties": {"anyOf": [_NUMBER, {"type": "object"}]}}
"""JSON schema of ``Population.weights``, whose values are checked where groups are replaced by subgroups."""

MAX_SUBGROUPS = 64
"""Subgroups of a population."""


class Attributes(Component):
    """The attributes of every subgroup, in the order of the generator's subgroups."""

    names: tuple[str, ...]
    """Names of the attributes, in the order in which a subject's are drawn."""
    values: tuple[tuple[str, ...], ...]
    """Values of each attribute."""
    subgroups: tuple[tuple[str, ...], ...]
    """The value of each attribute, for every subgroup."""
    random: dict[str, RandomAttribute] = Field(default_factory=dict)
    """Attribute -> law of the parameters of its levels, for attributes whose levels differ between replicates."""


class Population(Definition):
    """Attributes of the subgroups and named groups; without this table subgroups have names only.

    With it, every key of a study that names a subgroup (levers of the generator, shares, prevalences, shifts) may name
    a group instead, which stands for all its subgroups. Each value of an attribute is a group.
    """

    attributes: dict[str, Values] = Field(default_factory=dict)
    """Attribute -> its values."""
    random: dict[str, Annotated[RandomAttribute, Preset(LAWS)]] = Field(default_factory=dict)
    """Further attributes whose levels differ between replicates, such as hospitals: attribute -> number of levels and
    law of their parameters, or the name of a preset. The values of an attribute ``site`` are ``site_1``, ``site_2``
    ..."""
    subgroups: Annotated[dict[str, dict[str, str]], Field(max_length=MAX_SUBGROUPS)] = Field(default_factory=dict)
    """Subgroup -> its value of every attribute; left out: every combination of values, named by them, joined by ``_``,
    as in ``light_academic``."""
    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Further groups: name -> the subgroups and groups that it unites."""
    weights: Annotated[dict[str, Any], WithJsonSchema(WEIGHTS)] = Field(default_factory=dict)
    """Weight of each subgroup's test subjects in the measures of groups, such as its share among the patients of a
    hospital: by subgroup or group (divided equally among its subgroups), or as a product of attributes; only ratios
    matter. Left out: equal. No stored number depends on it."""
    shifts: dict[str, Annotated[Shift, Preset(PRESETS)]] = Field(default_factory=dict)
    """Subgroup or group -> shifts that its members have in every stage, such as those of a hospital's camera; the
    shifts of a stage take precedence. Prevalence and annotation shifts are not applied to the evaluation, whose labels
    are the true ones unless ``evaluation.shifts`` says otherwise."""

    def all_attributes(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> its values, those of random attributes included."""
        named = {name: tuple(f"{name}_{i + 1}" for i in range(law.levels)) for name, law in self.random.items()}
        return {**self.attributes, **named}

    def combinations(self) -> dict[str, dict[str, str]]:
        """Subgroup -> its value of every attribute, in the order of the population."""
        if self.subgroups:
            return self.subgroups
        attributes = self.all_attributes()
        found = (dict(zip(attributes, values, strict=True)) for values in itertools.product(*attributes.values()))
        return {"_".join(values.values()): values for values in found}

    def members(self) -> dict[str, tuple[str, ...]]:
        """Subgroup or group -> its subgroups, in the order of the population: subgroups first, then the groups of each
        attribute's values, then further groups.

        A group named like a subgroup is left out: it consists of that subgroup alone. So is a value of no subgroup.
        """
        subgroups = self.combinations()
        members: dict[str, tuple[str, ...]] = {name: (name,) for name in subgroups}
        for attribute, values in self.all_attributes().items():
            for value in values:
                inside = tuple(name for name, own in subgroups.items() if own.get(attribute) == value)
                if inside:
                    members.setdefault(value, inside)
        for name in self.groups:
            members.setdefault(name, self._united(name, members, ()))
        return members

    def _united(self, name: str, members: dict[str, tuple[str, ...]], above: tuple[str, ...]) -> tuple[str, ...]:
        """Subgroups of a group; parts that do not exist, or contain the group itself, add none."""
        if name in members:
            return members[name]
        if name in above or name not in self.groups:
            return ()
        united = {sub for part in self.groups[name] for sub in self._united(part, members, (*above, name))}
        return tuple(sub for sub in self.combinations() if sub in united)

    def composition(self) -> dict[str, Any]:
        """What measures of groups read (:func:`biasprop.statistics.groups.composition`), as JSON values: the attributes
        of the subgroups, the subgroups of every group, and weights."""
        subgroups = self.combinations()
        attributes = list(self.all_attributes())
        return {  # lists, because the keys of a table in an attribute are sorted
            "attributes": attributes,
            "subgroups": [[name, [own[attribute] for attribute in attributes]] for name, own in subgroups.items()],
            "groups": [[name, inside] for name, inside in self.members().items() if name not in subgroups],
            "weights": self.weights,
        }

    def structure(self) -> Attributes:
        """The attributes as sampling needs them."""
        attributes = self.all_attributes()
        return Attributes(
            names=tuple(attributes),
            values=tuple(attributes.values()),
            subgroups=tuple(tuple(own[name] for name in attributes) for own in self.combinations().values()),
            random=self.random,
        )
