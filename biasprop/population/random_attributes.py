"""Random attributes: levels, such as hospitals, whose parameters each replicate draws from a stated law.

The levels of a replicate are a sample of the law, so that an interval over replicates covers other levels of the same
kind, not only those that were drawn. Parameters depend on the replicate's key, the attribute's and the level's name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop import keys
from biasprop.component import Component
from biasprop.population.shifts import Shift, with_missed

if TYPE_CHECKING:
    from biasprop.population.attributes import Attributes

G = TypeVar("G", bound=Any)

LAWS: dict[str, dict[str, float]] = {
    "institutions": {
        "acquisition_mean": 0.168,
        "acquisition_sd": 0.168,
        "exposure_mean": -0.112,
        "exposure_sd": 0.112,
        "missed_median": 0.055,
        "missed_sd": 0.64,
    },
}
"""Preset -> law. In ``institutions`` the presets ``academic`` and ``community`` of
:data:`biasprop.population.shifts.PRESETS` lie one standard deviation on either side of the mean; conventions, not
measurements."""


class RandomAttribute(Component):
    """Law of the parameters of an attribute's levels; each replicate draws levels of its own."""

    levels: Annotated[int, Field(ge=2, le=64)] = 4
    """Number of levels drawn in a replicate. Test subjects are rendered in every one of them."""
    within: str | None = None
    """An attribute within whose values the levels are drawn separately (``site_1`` of type academic and ``site_1`` of
    type community are then two sites); left out: a level is the same whatever the other attributes."""
    acquisition_mean: Annotated[float, Field(ge=-3, le=3)] = 0.0
    """Mean of the acquisition shift, which is normal: the noise has a log-normal factor."""
    acquisition_sd: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Sd of the acquisition shift between levels."""
    exposure_mean: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Mean of the exposure shift, which is normal."""
    exposure_sd: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Sd of the exposure shift between levels."""
    missed_median: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Median of P(recorded healthy | diseased), which is logit-normal; 0 is no such error."""
    missed_sd: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Sd of its logit between levels."""
    lever_sd: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, exclude_if=lambda levers: not levers
    )
    """Lever of the generator's subgroups, such as ``kernel`` of a scanner -> its sd between levels. The mean is the
    lever of the subgroup, so that it may differ by the values of another attribute; what is drawn is normal and clipped
    to the lever's range. The difficulty ledger is of the mean level; modes of difficulty that are solved for the levers
    of subgroups cannot be had with it."""


class LevelParameters(NamedTuple):
    """Parameters of the levels of random attributes that a replicate has drawn, for each of ``g`` subgroups."""

    acquisition: Float[Array, " g"]
    """Added to the log sd of the noise."""
    exposure: Float[Array, " g"]
    """Added to the log exposure."""
    missed: Float[Array, " g"]
    """P(recorded healthy | diseased)."""


def level_parameters(attributes: Attributes, key: Key[Array, ""]) -> LevelParameters:
    """The parameters that a replicate has drawn, as every subgroup has them; with several random attributes the shifts
    add and the label errors are independent.

    Args:
        attributes: of the population.
        key: of the replicate, from :func:`biasprop.keys.replicate`.
    """
    stream = keys.stream(key, keys.Stream.RANDOM_ATTRIBUTES)
    none = jnp.zeros(len(attributes.subgroups))
    total = LevelParameters(none, none, none)
    for name, law in attributes.random.items():
        own = [_level_key(stream, name, law, dict(zip(attributes.names, s, strict=True))) for s in attributes.subgroups]
        normals = jax.vmap(lambda level: jax.random.normal(level, (3,)))(jnp.stack(own)).T
        logit = jax.scipy.special.logit(jnp.maximum(law.missed_median, 1e-9)) + law.missed_sd * normals[2]
        missed = jnp.where(jnp.asarray(law.missed_median) > 0, jax.nn.sigmoid(logit), 0.0)
        total = LevelParameters(
            total.acquisition + law.acquisition_mean + law.acquisition_sd * normals[0],
            total.exposure + law.exposure_mean + law.exposure_sd * normals[1],
            1 - (1 - total.missed) * (1 - missed),
        )
    return total


def with_levers(generator: G, attributes: Attributes | None, key: Key[Array, ""]) -> G:
    """A generator with the levers of the levels that a replicate has drawn.

    Args:
        generator: with the subgroups of the population.
        attributes: of the population; without random levers the generator is returned as it is.
        key: of the replicate.
    """
    if attributes is None or not any(law.lever_sd for law in attributes.random.values()):
        return generator
    stream = keys.stream(key, keys.Stream.RANDOM_ATTRIBUTES)
    subgroups: dict[str, Any] = {}
    for (subgroup, levers), values in zip(generator.subgroups.items(), attributes.subgroups, strict=True):
        added: dict[str, Any] = {}
        for name, law in attributes.random.items():
            level = _level_key(stream, name, law, dict(zip(attributes.names, values, strict=True)))
            for lever, sd in law.lever_sd.items():
                normal = jax.random.normal(keys.at(level, keys.integer_of(lever)))
                added[lever] = added.get(lever, 0.0) + sd * normal
        drawn = {
            lever: jnp.clip(getattr(levers, lever) + more, *_range(levers, lever)) for lever, more in added.items()
        }
        subgroups[subgroup] = levers.model_copy(update=drawn)
    return generator.model_copy(update={"subgroups": subgroups})


def _range(levers: Component, name: str) -> tuple[float, float]:
    """Smallest and largest value that a lever may have."""
    marks = type(levers).model_fields[name].metadata
    low = [getattr(mark, bound) for mark in marks for bound in ("ge", "gt") if hasattr(mark, bound)]
    high = [getattr(mark, bound) for mark in marks for bound in ("le", "lt") if hasattr(mark, bound)]
    return max(low, default=-math.inf), min(high, default=math.inf)


def _level_key(stream: Key[Array, ""], name: str, law: RandomAttribute, values: dict[str, str]) -> Key[Array, ""]:
    """Key of the level that a subgroup with these values of the attributes has."""
    level = keys.at(keys.at(stream, keys.integer_of(name)), keys.integer_of(values[name]))
    return level if law.within is None else keys.at(level, keys.integer_of(values[law.within]))


def with_levels(shifts: Sequence[Shift], attributes: Attributes | None, key: Key[Array, ""]) -> tuple[Shift, ...]:
    """The shifts of a stage together with those of the levels that a replicate has drawn.

    Appearance shifts apply in every stage, label errors to the labelled and the validation set.

    Args:
        shifts: of the stage, one per subgroup, or none.
        attributes: of the population; without random attributes the shifts are returned as they are.
        key: of the replicate.
    """
    if attributes is None or not attributes.random:
        return tuple(shifts)
    drawn = level_parameters(attributes, key)
    return tuple(
        shift.model_copy(
            update={
                "acquisition": shift.acquisition + drawn.acquisition[g],
                "exposure": (0.0 if shift.exposure is None else shift.exposure) + drawn.exposure[g],
            }
        )
        for g, shift in enumerate(with_missed(shifts, drawn.missed))
    )
