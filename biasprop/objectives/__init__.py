"""Pretraining objectives, one file each."""

from biasprop.component import Component
from biasprop.objectives.contrastive import Contrastive
from biasprop.objectives.denoising import Denoising
from biasprop.objectives.masked import Masked
from biasprop.objectives.next_scan import NextScan
from biasprop.objectives.reconstruction import Reconstruction
from biasprop.objectives.scratch import Scratch
from biasprop.objectives.supervised import Supervised

OBJECTIVES: dict[str, type[Component]] = {
    "contrastive": Contrastive,
    "masked": Masked,
    "reconstruction": Reconstruction,
    "scratch": Scratch,
    "denoising": Denoising,
    "supervised": Supervised,
    "next_scan": NextScan,
}
