"""Sources of pretraining examples, one file per source.

A source is a frozen :class:`biasprop.component.Component` that satisfies
:class:`biasprop.interfaces.Source`. It gives a pool of examples: as many as the key ``pretraining.cohort``
says, addressed by index and not stored. If the examples show subjects (``shows_subjects``), the pool is a
:class:`biasprop.population.pools.SubjectPool`, so that mitigations know their subgroups and objectives can read more
than images. If they are the study's own cohort (``in_domain``), the shares, prevalence and shifts of
``[pretraining]`` apply to them. A source with a population of its own has fields ``generator``, ``shares``,
``prevalence`` and ``shifts`` (:class:`biasprop.interfaces.HasPopulation`), which are checked as the study's
own are.

To add one: write one file, add one line to :data:`SOURCES`, and regenerate the schema of study files with ``python -m
biasprop.study.schema``. The contract tests in ``tests/sources`` read the table and test the new member.
"""

from biasprop.component import Component
from biasprop.sources.cohort import CohortSource
from biasprop.sources.natural_textures import NaturalTextures
from biasprop.sources.other_generator import OtherGenerator

SOURCES: dict[str, type[Component]] = {
    "cohort": CohortSource,
    "generator": OtherGenerator,
    "natural_textures": NaturalTextures,
}
