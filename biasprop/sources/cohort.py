"""The default source of pretraining examples: the cohort, rendered by the study's generator."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Array, Key

from biasprop.component import Component
from biasprop.interfaces import Generator
from biasprop.population.pools import SubjectPool
from biasprop.pretraining_interfaces import Pool, Population


class CohortSource(Component):
    """In-domain pretraining on images of the cohort."""

    kind: Literal["cohort"] = "cohort"

    shows_subjects: ClassVar[bool] = True
    in_domain: ClassVar[bool] = True

    def incompatibility(self, generator: Generator) -> str | None:
        """Why its images cannot replace those of the study's generator: None, because they are those."""
        return None

    def rendered_by(self, generator: Generator) -> Generator:
        """The study's generator."""
        return generator

    def pool(self, key: Key[Array, ""], generator: Generator, population: Population) -> Pool:
        """The cohort, with the study's shares, prevalence and shifts."""
        return SubjectPool(key, generator, population, generator.shape)
