"""Image generators, one file a modality; the table is the only place that names them all."""

from biasprop.component import Component
from biasprop.generators.dermoscopy import Dermoscopy
from biasprop.generators.gaussian import Gaussian

GENERATORS: dict[str, type[Component]] = {
    "dermoscopy": Dermoscopy,
    "gaussian": Gaussian,
}
