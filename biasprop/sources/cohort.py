"""The default source of pretraining examples: the cohort, simulated by the study's generator."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from jaxtyping import Array, Key

from biasprop.component import Component
from biasprop.interfaces import Generator, Pool, Population, Spec
from biasprop.population.pools import SubjectPool


class CohortSource(Component):
    """In-domain pretraining on examples of the cohort."""

    kind: Literal["cohort"] = "cohort"

    shows_subjects: ClassVar[bool] = True
    in_domain: ClassVar[bool] = True

    def incompatibility(self, spec: Spec) -> str | None:
        """Why it cannot stand in for examples of this spec: None, because they are its own."""
        return None

    def observed_by(self, generator: Generator) -> Generator:
        """The study's generator."""
        return generator

    def pool(
        self,
        key: Key[Array, ""],
        generator: Generator,
        population: Population,
        attributes: Any = None,
        replicate: Key[Array, ""] | None = None,
    ) -> Pool:
        """The cohort, with the study's shares, prevalence and shifts."""
        return SubjectPool(key, generator, population, generator.spec, attributes, replicate)
