"""A pool of subjects for pretraining: drawn from a population by index, rendered when they are used."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.interfaces import Generator, Objective, Subjects
from biasprop.keys import Stream
from biasprop.population import sampling
from biasprop.population.shifts import in_order
from biasprop.pretraining_interfaces import ObjectiveInputs, Population


def sum_to_one(shares: dict[str, float]) -> dict[str, float]:
    """The shares of a population, if they sum to 1.

    Raises:
        ValueError: they do not.
    """
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares must sum to 1; these sum to {sum(shares.values()):g}")
    return shares


class SubjectPool(NamedTuple):
    """Subjects of a population and their images (a :class:`biasprop.pretraining_interfaces.Pool`)."""

    key: Key[Array, ""]
    """Of the replicate, or of a later stage of its pretraining."""
    generator: Generator
    """Has the subgroups of the population."""
    population: Population
    shape: tuple[int, int, int]
    """Height, width and channels to which images are resampled."""

    @property
    def shares(self) -> Float[Array, " g"]:
        """P(subgroup)."""
        return jnp.stack([jnp.asarray(share) for share in self._shares().values()])

    def members(self, rows: Int[Array, " n"]) -> Subjects:
        """The subjects of these indices."""
        shares, shifts = self._shares(), in_order(self.population.shifts, list(self.generator.subgroups))
        key = keys.stream(self.key, Stream.PRETRAIN_SUBJECTS)
        return sampling.cohort(key, rows, shares, self.population.prevalence, shifts)

    def subgroup_of(self, rows: Int[Array, " n"]) -> Int[Array, " n"]:
        """Subgroups of these indices."""
        return self.members(rows).subgroup

    def inputs(self, rows: Int[Array, " n"], objective: Objective | None) -> ObjectiveInputs:
        """What an objective receives of these indices."""
        return subject_inputs(self.generator, self.members(rows), objective, self.shape)

    def _shares(self) -> dict[str, Any]:
        """Subgroup -> share, in the order of the generator."""
        return {name: self.population.shares.get(name, 0.0) for name in self.generator.subgroups}


def subject_inputs(
    generator: Generator, members: Subjects, objective: Objective | None, shape: tuple[int, int, int]
) -> ObjectiveInputs:
    """What an objective receives of subjects: their images, resampled to ``shape``, and what its ``reads`` name."""
    images = resampled(jax.vmap(generator.render)(members), shape)
    return ObjectiveInputs(images, additional_inputs(objective, generator, members, shape))


def additional_inputs(
    objective: Any, generator: Generator, members: Subjects, shape: tuple[int, int, int] | None = None
) -> dict[str, Array]:
    """Inputs that an objective needs besides images (its ``reads``), by name; empty without an objective."""

    def attribute() -> Float[Array, " n"]:
        names = list(generator.attribute_names)
        index = names.index(objective.attribute) if objective.attribute else 0
        return jax.vmap(generator.attributes)(members)[:, index]

    def follow_up() -> Float[Array, "n h w c"]:
        months = jnp.full(members.label.shape, objective.months, jnp.float32)
        return resampled(jax.vmap(generator.render)(members._replace(months=months)), shape or generator.shape)

    inputs = {"attribute": attribute, "follow_up": follow_up}
    return {name: inputs[name]() for name in (objective.reads if objective else ())}


def resampled(images: Float[Array, "n h w c"], shape: tuple[int, int, int]) -> Float[Array, "n i j k"]:
    """Images of another shape; unchanged if they have it.

    Pixels are interpolated linearly, with antialiasing where they become fewer. One channel is repeated, and several
    are averaged to one.

    Args:
        images: in [0, 1].
        shape: height, width and channels.
    """
    height, width, channels = shape
    if images.shape[1:3] != (height, width):
        images = jax.image.resize(images, (len(images), height, width, images.shape[3]), "linear")
    if images.shape[3] == channels:
        return images
    single = images if images.shape[3] == 1 else jnp.mean(images, axis=3, keepdims=True)
    return jnp.broadcast_to(single, (len(images), *shape))
