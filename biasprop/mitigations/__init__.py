"""Ways of making up for a skew, one file a technique; each stage has its table, ``none`` is what both depart from."""

from biasprop.component import Component
from biasprop.mitigations.continued import Continued
from biasprop.mitigations.erm import AsDrawn, Erm
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
"""Of the labelled stage."""

PRETRAINING_MITIGATIONS: dict[str, type[Component]] = {
    "none": AsDrawn,
    "reweighting": CohortReweighting,
    "resampling": CohortResampling,
    "balanced_batches": BalancedBatches,
    "continued": Continued,
}
"""Of the unlabelled stage."""
