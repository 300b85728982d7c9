"""Encoders, one file an architecture."""

from biasprop.component import Component
from biasprop.encoders.linear import Linear
from biasprop.encoders.vit import Vit

ENCODERS: dict[str, type[Component]] = {
    "vit": Vit,
    "linear": Linear,
}
