"""Ways of adapting a pretrained encoder to labels, one file each."""

from biasprop.component import Component
from biasprop.protocols.full import Full
from biasprop.protocols.linear_probe import LinearProbe

PROTOCOLS: dict[str, type[Component]] = {
    "linear_probe": LinearProbe,
    "full": Full,
}
