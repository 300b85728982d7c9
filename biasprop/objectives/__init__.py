"""Pretraining objectives, one file each.

An objective is a frozen :class:`biasprop.component.Component` that satisfies
:class:`biasprop.interfaces.Objective`: ``kind``, ``trains``, ``reads``, ``incompatibility``, ``init`` and
``loss``. The loss is a mean over the images of one
batch; all its randomness comes from the key of the step. It sees images and the inputs named in ``reads``, but neither
subgroup nor label. Every loss takes an optional ``weight`` per image, which :func:`.weighting.weighted_mean` applies;
:mod:`.token_decoder` is shared by objectives that predict an image.

To add one: write one file, add one line to :data:`OBJECTIVES`, and regenerate the schema of study files with
``python -m biasprop.study.schema``. The contract tests in ``tests/objectives`` read the table and test the new member.
"""

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
