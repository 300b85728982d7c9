"""Fine-tuning protocols, one file each.

A protocol is a frozen :class:`biasprop.component.Component` of one of two kinds. A
:class:`biasprop.interfaces.FrozenMethod` (``adapts_encoder`` false) fits a classifier to features of the frozen encoder
with ``fit``. A :class:`biasprop.interfaces.GradientMethod` (true) defines trainable parameters (``start``), a
loss on labels (``training``) and the merge of the result into the encoder (``merge``); most derive from
:class:`.full.Full`. Both have ``kind``, ``draws``, ``linear_head`` and ``adapts_all``. All choices, such as a penalty
or the step to stop at, use the validation set alone.

To add one: write one file, add one line to :data:`PROTOCOLS`, and regenerate the schema of study files with
``python -m biasprop.study.schema``. The contract tests in ``tests/protocols`` read the table and test the new member.
"""

from biasprop.component import Component
from biasprop.protocols.full import Full
from biasprop.protocols.gradual_unfreezing import GradualUnfreezing
from biasprop.protocols.last_layers import LastLayers
from biasprop.protocols.linear_probe import LinearProbe
from biasprop.protocols.low_rank import LowRank
from biasprop.protocols.nearest_neighbours import NearestNeighbours

PROTOCOLS: dict[str, type[Component]] = {
    "linear_probe": LinearProbe,
    "full": Full,
    "last_layers": LastLayers,
    "low_rank": LowRank,
    "gradual_unfreezing": GradualUnfreezing,
    "nearest_neighbours": NearestNeighbours,
}
