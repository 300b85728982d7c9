"""Generators, one file per modality.

A generator is a frozen :class:`biasprop.component.Component` that satisfies :class:`biasprop.interfaces.Generator`:
``kind``, ``subgroups``, ``latent_names``, ``attribute_names``, ``follows_up``, ``symmetries``, ``spec``, ``observe``,
``latents`` and ``attributes`` (if it names any), all per subject. ``observe`` returns an example, a dict of the named
arrays that ``spec`` describes. A generator of images derives from :class:`.images.ImageGenerator` and has ``render``,
``mask`` and ``measure`` (:class:`biasprop.interfaces.RendersImages`). Every latent has a frozen integer (``Latent``)
and depends on the subject's key and that integer alone, so that twins differ only by their subgroup.

A generator may also satisfy capability protocols of :mod:`biasprop.interfaces`: ``HasDose``, ``HasContrast``,
``HasBijection`` and ``HasSlope``, which difficulty modes need (:mod:`biasprop.difficulty`; without them it supports
``natural`` only); ``HasIdealObserver``, ``HasInformedObserver`` and ``HasLinearObserver``, which the difficulty ledger
uses; ``HasLaw``, which :mod:`biasprop.truth` uses.

:class:`.own_images.OwnImages` (``images``) simulates nothing: its subjects are the people of a table
(:class:`biasprop.interfaces.HasPeople`), whose files :mod:`biasprop.datasets` reads. They have no twins.

To add one: write one file, add one line to :data:`GENERATORS`, and regenerate the schema of study
files with ``python -m biasprop.study.schema``. The contract tests in ``tests/generators`` read the table and test the
new member. Shared by generators: :mod:`.canvas` (drawing primitives), :mod:`.laws` (laws of patients), :mod:`.cues` and
:mod:`.several_diseases` (what diseases act through), :mod:`.channelised_observer` (what ``HasContrast`` needs).
"""

from biasprop.component import Component
from biasprop.generators.brain_mri import BrainMRI
from biasprop.generators.chest_ct import ChestCT
from biasprop.generators.chest_film import ChestFilm
from biasprop.generators.dermoscopy import Dermoscopy
from biasprop.generators.feature_vector import FeatureVector
from biasprop.generators.gaussian import Gaussian
from biasprop.generators.own_images import OwnImages

GENERATORS: dict[str, type[Component]] = {
    "dermoscopy": Dermoscopy,
    "gaussian": Gaussian,
    "feature_vector": FeatureVector,
    "chest_film": ChestFilm,
    "brain_mri": BrainMRI,
    "chest_ct": ChestCT,
    "images": OwnImages,
}
