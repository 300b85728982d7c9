"""Pretraining objectives, one file each."""

from biasprop.component import Component
from biasprop.objectives.contrastive import Contrastive
from biasprop.objectives.masked import Masked
from biasprop.objectives.reconstruction import Reconstruction
from biasprop.objectives.scratch import Scratch

OBJECTIVES: dict[str, type[Component]] = {
    "contrastive": Contrastive,
    "masked": Masked,
    "reconstruction": Reconstruction,
    "scratch": Scratch,
}
