"""Image generators, one file a modality; the tables are the only place that names them all."""

from biasprop.component import Component
from biasprop.generators.cohort import OfCohort
from biasprop.generators.dermoscopy import Dermoscopy
from biasprop.generators.gaussian import Gaussian
from biasprop.generators.natural_textures import NaturalTextures

GENERATORS: dict[str, type[Component]] = {
    "dermoscopy": Dermoscopy,
    "gaussian": Gaussian,
}

SOURCES: dict[str, type[Component]] = {
    "cohort": OfCohort,
    "natural_textures": NaturalTextures,
}
"""Where pretraining takes its images from: the cohort, or something that has no subjects."""
