"""Pretraining on another generator: transfer between modalities, or from a population with other levers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Array, Key
from pydantic import Field, field_validator

from biasprop.component import Component, OneOf
from biasprop.generators import GENERATORS
from biasprop.interfaces import Generator
from biasprop.population.pools import SubjectPool, sum_to_one
from biasprop.population.shifts import Shifts, no_shifts
from biasprop.pretraining_interfaces import Pool, Population


class OtherGenerator(Component):
    """Subjects of another population, rendered by a generator of their own.

    Image sizes are resampled to that of the study's images, and images of one channel are repeated in every channel, as
    is usual where a network pretrained on one modality is used for another; images of several channels are averaged
    where the study's have one. The shares, prevalence and shifts of ``[pretraining]`` do not apply. Subjects have the
    keys of the cohort's members: the study's own generator and shares give the images of the cohort.
    """

    kind: Literal["generator"] = "generator"
    generator: Annotated[Any, OneOf(GENERATORS)]
    """Subgroups of this population, and how their images are made. Subgroups are put in alphabetical order, because
    their order in the file, which is a dim of the study's own, has no meaning here."""
    shares: dict[str, Annotated[float, Field(ge=0, le=1)]]
    """P(subgroup) in this population; sums to 1."""
    prevalence: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """P(disease | subgroup) in this population before shifts."""
    shifts: Shifts = Field(default_factory=dict, exclude_if=no_shifts)
    """Subgroup -> how its members differ beyond their share; their disease labels are not used."""

    shares_sum_to_one = field_validator("shares")(sum_to_one)

    shows_subjects: ClassVar[bool] = True
    in_domain: ClassVar[bool] = False

    @field_validator("generator")
    @classmethod
    def subgroups_are_sorted(cls, generator: Any) -> Any:
        """Digests do not contain the order of subgroups of a source, so nothing may depend on it."""
        return generator.model_copy(update={"subgroups": dict(sorted(generator.subgroups.items()))})

    def incompatibility(self, generator: Generator) -> str | None:
        """Why its images cannot replace those of the study's generator, or None."""
        channels, wanted = self.generator.shape[2], generator.shape[2]
        if channels == wanted or 1 in (channels, wanted):
            return None
        return f"images of {self.generator.kind} have {channels} channels, and those of {generator.kind} have {wanted}"

    def rendered_by(self, generator: Generator) -> Generator:
        """Its own generator."""
        return self.generator

    def pool(self, key: Key[Array, ""], generator: Generator, population: Population) -> Pool:
        """Its own population, resampled to the shape of the study's images."""
        return SubjectPool(key, self.generator, self, generator.shape)
