"""Optimisers, one file each: how the parameters move along a gradient.

An optimiser is a frozen :class:`biasprop.component.Component` that satisfies :class:`biasprop.interfaces.Optimiser`:
``transformation`` makes an optax gradient transformation of a learning rate by step and a weight decay. It needs no
knowledge of what is trained: pretraining and every gradient fine-tuning choose theirs in their schedules.

To add one: write one file, add one line to :data:`OPTIMISERS`, and regenerate the schema of study files with
``python -m biasprop.study.schema``. The contract tests in ``tests/optimisers`` read the table and test the new member.
"""

from biasprop.component import Component
from biasprop.optimisers.adamw import AdamW
from biasprop.optimisers.muon import Muon

OPTIMISERS: dict[str, type[Component]] = {
    "adamw": AdamW,
    "muon": Muon,
}
