"""Mitigations of a skew, one file per technique; each stage has its own table, in which ``none`` is the baseline.

A fine-tuning mitigation is a frozen :class:`biasprop.component.Component` that satisfies
:class:`biasprop.interfaces.Mitigation`; derive it from :class:`.erm.Erm` and override what differs: loss weights or
sampling weights (``labelled``), extra trainable parameters and the loss (``start``, ``training``), or a refit of the
head (``retrained``). A pretraining mitigation satisfies
:class:`biasprop.interfaces.PretrainingMitigation`; derive it from :class:`.erm.UniformSampling` and
override the members of a batch (``rows``), their loss weights (``weights``) or a further stage (``continuation``). A
mitigation sees subgroups and recorded labels, never true labels, and with one subgroup, or equal groups, it must equal
``none``.
:mod:`.groups` has the weights they share.

To add one: write one file, add one line to :data:`MITIGATIONS` or :data:`PRETRAINING_MITIGATIONS`, and regenerate the
schema of study files with ``python -m biasprop.study.schema``. The contract tests in ``tests/mitigations`` read the
tables and test the new member.
"""

from biasprop.component import Component
from biasprop.mitigations.continued import Continued
from biasprop.mitigations.erm import Erm, UniformSampling
from biasprop.mitigations.group_dro import GroupDro
from biasprop.mitigations.last_layer_retraining import LastLayerRetraining
from biasprop.mitigations.resampling import BalancedBatches, CohortResampling, Resampling
from biasprop.mitigations.reweighting import CohortReweighting, Reweighting

MITIGATIONS: dict[str, type[Component]] = {
    "none": Erm,
    "reweighting": Reweighting,
    "resampling": Resampling,
    "group_dro": GroupDro,
    "last_layer_retraining": LastLayerRetraining,
}
"""Mitigations of fine-tuning."""

PRETRAINING_MITIGATIONS: dict[str, type[Component]] = {
    "none": UniformSampling,
    "reweighting": CohortReweighting,
    "resampling": CohortResampling,
    "balanced_batches": BalancedBatches,
    "continued": Continued,
}
"""Mitigations of pretraining."""
