"""Pretraining on another generator: transfer between modalities, or from a population with other levers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Array, Key
from pydantic import Field, field_validator

from biasprop.component import Component, OneOf
from biasprop.difficulty import IN_MODES, InMode
from biasprop.interfaces import Generator, Pool, Population, Spec, has_people
from biasprop.population.pools import SubjectPool, can_be_resampled, sum_to_one
from biasprop.population.shifts import Shifts, no_shifts


class OtherGenerator(Component):
    """Subjects of another population, rendered by a generator of their own.

    Images are resampled to the size of the study's, and one channel is repeated in every channel, as is usual where a
    network pretrained on one modality is used for another; several channels are averaged where the study's images have
    one. Other arrays need the shape of the study's. The shares, prevalence and shifts of ``[pretraining]`` do not
    apply. Subjects have the keys of the cohort's members: the study's own generator and shares give the examples of the
    cohort.
    """

    kind: Literal["generator"] = "generator"
    generator: Annotated[InMode, OneOf(IN_MODES)]
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
    def subjects_are_simulated(cls, generator: Any) -> Any:
        """A table's people are divided among the sets of one study, so it is no source of others."""
        if has_people(generator):
            raise ValueError("is a table of people, which only the study's own [generator] can be")
        return generator

    @field_validator("generator")
    @classmethod
    def subgroups_are_sorted(cls, generator: Any) -> Any:
        """Digests do not contain the order of subgroups of a source, so nothing may depend on it."""
        return generator.model_copy(update={"subgroups": dict(sorted(generator.subgroups.items()))})

    def incompatibility(self, spec: Spec) -> str | None:
        """Why it cannot stand in for examples of this spec, or None."""
        own = self.generator.spec
        if missing := [name for name in spec if name not in own]:
            return f"examples of {self.generator.kind} are {', '.join(own)} and lack {', '.join(missing)}"
        for name, wanted in spec.items():
            if own[name].dtype != wanted.dtype or not can_be_resampled(own[name].shape, wanted.shape):
                shapes = (" x ".join(map(str, array.shape)) for array in (own[name], wanted))
                return "{} of {} is {} and cannot be resampled to {}".format(name, self.generator.kind, *shapes)
        return None

    def observed_by(self, generator: Generator) -> Generator:
        """Its own generator."""
        return self.generator

    def pool(
        self,
        key: Key[Array, ""],
        generator: Generator,
        population: Population,
        attributes: Any = None,
        replicate: Key[Array, ""] | None = None,
    ) -> Pool:
        """Its own population, resampled to the spec of the study's examples."""
        return SubjectPool(key, self.generator, self, generator.spec)
