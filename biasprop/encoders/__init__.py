"""Encoders, one file an architecture."""

from biasprop.component import Component
from biasprop.encoders.linear import Linear
from biasprop.encoders.mixer import Mixer
from biasprop.encoders.vit import Vit

ENCODERS: dict[str, type[Component]] = {
    "vit": Vit,
    "mixer": Mixer,
    "linear": Linear,
}
