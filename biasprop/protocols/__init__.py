"""Ways of adapting a pretrained encoder to labels, one file each."""

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
