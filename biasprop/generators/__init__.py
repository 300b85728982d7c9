"""Generators, one file per modality, and the sources of pretraining examples.

A generator is a frozen :class:`biasprop.component.Component` that satisfies :class:`biasprop.interfaces.Generator`:
``kind``, ``subgroups``, ``latent_names``, ``attribute_names``, ``follows_up``, ``symmetries``, ``spec``, ``observe``,
``latents`` and ``attributes`` (if it names any), all per subject. ``observe`` returns an example, a dict of the named
arrays that ``spec`` describes. A generator of images derives from :class:`.images.ImageGenerator` and has ``render``,
``mask`` and ``measure`` (:class:`biasprop.interfaces.RendersImages`). Every latent has a frozen integer (``Latent``)
and depends on the subject's key and that integer alone, so that twins differ only by their subgroup. A source satisfies
:class:`biasprop.interfaces.Source`.

A generator may also satisfy capability protocols of :mod:`biasprop.interfaces`: ``HasDose``, ``HasBijection`` and
``HasSlope``, which difficulty modes need (:mod:`biasprop.difficulty`; without them it supports ``natural`` only);
``HasIdealObserver``, ``HasInformedObserver`` and ``HasLinearObserver``, which the difficulty ledger uses; ``HasLaw``,
which :mod:`biasprop.truth` uses.

To add one: write one file, add one line to :data:`GENERATORS` or :data:`SOURCES`, and regenerate the schema of study
files with ``python -m biasprop.study.schema``. The contract tests in ``tests/generators`` read the tables and test the
new member. Shared by generators: :mod:`.canvas` (drawing primitives).
"""

from biasprop.component import Component
from biasprop.generators.cohort import CohortSource
from biasprop.generators.dermoscopy import Dermoscopy
from biasprop.generators.feature_vector import FeatureVector
from biasprop.generators.gaussian import Gaussian
from biasprop.generators.natural_textures import NaturalTextures

GENERATORS: dict[str, type[Component]] = {
    "dermoscopy": Dermoscopy,
    "gaussian": Gaussian,
    "feature_vector": FeatureVector,
}

SOURCES: dict[str, type[Component]] = {
    "cohort": CohortSource,
    "natural_textures": NaturalTextures,
}
"""Sources of pretraining examples: the cohort, or non-medical images."""
