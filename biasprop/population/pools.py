"""A pool of subjects for pretraining: drawn from a population by index, rendered when they are used."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.interfaces import Example, Generator, Objective, ObjectiveInputs, Population, Spec, Subjects, has_people
from biasprop.keys import Stream
from biasprop.population import people, sampling
from biasprop.population.attributes import Attributes
from biasprop.population.random_attributes import with_levels, with_levers
from biasprop.population.shifts import in_order


def sum_to_one(shares: dict[str, float]) -> dict[str, float]:
    """The shares of a population, if they sum to 1.

    Raises:
        ValueError: they do not.
    """
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares must sum to 1; these sum to {sum(shares.values()):g}")
    return shares


class SubjectPool(NamedTuple):
    """Subjects of a population and their examples (a :class:`biasprop.interfaces.Pool`)."""

    key: Key[Array, ""]
    """Of the replicate, or of a later stage of its pretraining."""
    generator: Generator
    """Has the subgroups of the population."""
    population: Population
    spec: Spec
    """Shapes to which examples are resampled."""
    attributes: Attributes | None = None
    """Attributes of the subgroups, if they have any."""
    replicate: Key[Array, ""] | None = None
    """Key of the replicate, from which the levels of random attributes come; None if it is ``key``."""

    @property
    def shares(self) -> Float[Array, " g"]:
        """P(subgroup)."""
        return jnp.stack([jnp.asarray(share) for share in self._shares().values()])

    def members(self, rows: Int[Array, " n"]) -> Subjects:
        """The subjects of these indices."""
        shares, shifts = self._shares(), in_order(self.population.shifts, list(self.generator.subgroups))
        if has_people(self.generator):
            prevalences = sampling.prevalences(self.population.prevalence, shifts, len(shares))
            return people.cohort(self.generator, rows, shares, prevalences)  # pyright: ignore[reportArgumentType]
        shifts = with_levels(shifts, self.attributes, self._replicate)
        key = keys.stream(self.key, Stream.PRETRAIN_SUBJECTS)
        return sampling.cohort(key, rows, shares, self.population.prevalence, shifts, self.attributes)

    def subgroup_of(self, rows: Int[Array, " n"]) -> Int[Array, " n"]:
        """Subgroups of these indices."""
        return self.members(rows).subgroup

    def inputs(self, rows: Int[Array, " n"], objective: Objective | None) -> ObjectiveInputs:
        """What an objective receives of these indices."""
        generator = with_levers(self.generator, self.attributes, self._replicate)
        return subject_inputs(generator, self.members(rows), objective, self.spec)

    @property
    def _replicate(self) -> Key[Array, ""]:
        return self.key if self.replicate is None else self.replicate

    def _shares(self) -> dict[str, Any]:
        """Subgroup -> share, in the order of the generator."""
        return {name: self.population.shares.get(name, 0.0) for name in self.generator.subgroups}


def subject_inputs(generator: Generator, members: Subjects, objective: Objective | None, spec: Spec) -> ObjectiveInputs:
    """What an objective receives of subjects: their examples, resampled to ``spec``, and what its ``reads`` name."""
    examples = resampled(jax.vmap(generator.observe)(members), spec)
    return ObjectiveInputs(examples, additional_inputs(objective, generator, members, spec))


def additional_inputs(
    objective: Any, generator: Generator, members: Subjects, spec: Spec | None = None
) -> dict[str, Any]:
    """Inputs that an objective needs besides examples (its ``reads``), by name; empty without an objective."""

    def attribute() -> Float[Array, " n"]:
        names = list(generator.attribute_names)
        index = names.index(objective.attribute) if objective.attribute else 0
        return jax.vmap(generator.attributes)(members)[:, index]

    def follow_up() -> Example:
        months = jnp.full(members.label.shape, objective.months, jnp.float32)
        return resampled(jax.vmap(generator.observe)(members._replace(months=months)), spec or generator.spec)

    inputs = {"attribute": attribute, "follow_up": follow_up}
    return {name: inputs[name]() for name in (objective.reads if objective else ())}


def can_be_resampled(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether :func:`resampled` makes an array of one shape one of another: both are images, and one channel is
    repeated or several are averaged to one; or the shapes are equal."""
    both = shape, wanted
    channels = {one[-1] for one in both}
    return shape == wanted or (all(len(one) == 3 for one in both) and (len(channels) == 1 or 1 in channels))


def resampled(examples: Example, spec: Spec) -> Example:
    """Examples with the arrays and shapes of another spec; arrays that have its shape are unchanged.

    Pixels are interpolated linearly, with antialiasing where they become fewer. One channel is repeated, and several
    are averaged to one.

    Args:
        examples: name -> [n, ...].
        spec: names and shapes, see :func:`can_be_resampled`.
    """
    return {name: _resampled(examples[name], array.shape) for name, array in spec.items()}


def _resampled(values: Float[Array, "n *s"], shape: tuple[int, ...]) -> Float[Array, "n *t"]:
    if values.shape[1:] == shape:
        return values
    height, width, channels = shape
    if values.shape[1:3] != (height, width):
        values = jax.image.resize(values, (len(values), height, width, values.shape[3]), "linear")
    if values.shape[3] == channels:
        return values
    single = values if values.shape[3] == 1 else jnp.mean(values, axis=3, keepdims=True)
    return jnp.broadcast_to(single, (len(values), *shape))
