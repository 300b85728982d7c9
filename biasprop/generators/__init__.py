"""Generators, one file per modality, and the sources of pretraining examples.

A generator is a frozen :class:`biasprop.component.Component` that satisfies :class:`biasprop.interfaces.Generator`:
``kind``, ``subgroups``, ``latent_names``, ``attribute_names``, ``follows_up``, ``symmetries``, ``difficulty``,
``spec``, ``calibrated``, ``observe``, ``latents`` and ``attributes`` (if it names any), all per subject. ``observe``
returns an example, a dict of the named arrays that ``spec`` describes. A generator of images derives from
:class:`.images.ImageGenerator` and has ``render``, ``mask`` and ``measure``
(:class:`biasprop.interfaces.RendersImages`). A generator may also have ``ideal_auc(subgroup)``,
``informed_auc(subgroup)`` or ``linear_auc(subgroup)``, which the difficulty ledger uses, and ``law()``, which
:mod:`biasprop.truth` uses. Every latent has a frozen integer (``Latent``) and depends on the subject's key and that
integer alone, so that twins differ only by their subgroup. A source satisfies :class:`biasprop.interfaces.Source`.

To add one: write one file, add one line to :data:`GENERATORS` or :data:`SOURCES`, and regenerate the schema of study
files with ``python -m biasprop.study.schema``. The contract tests in ``tests/generators`` read the tables and test the
new member. Shared by generators: :mod:`.canvas` (drawing primitives) and :mod:`.difficulty` (difficulty modes).
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
