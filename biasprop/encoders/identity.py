"""No network: examples that are feature vectors already, such as embeddings of a model pretrained elsewhere."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Array, Float, Key

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec


class Identity(Component):
    """Passes the array ``features`` of an example on; it has no parameters, so nothing of it can be trained."""

    kind: Literal["identity"] = "identity"

    reads: ClassVar[tuple[str, ...]] = ("features",)

    def features(self, spec: Spec) -> int:
        """Length of the feature vector."""
        return spec["features"].size

    def incompatibility(self, spec: Spec) -> str | None:
        """None: every vector can be passed on."""
        return None

    def counts(self, spec: Spec) -> tuple[int, int]:
        """No parameters, and no activations stored for the backward pass."""
        return 0, 0

    def init(self, key: Key[Array, ""], spec: Spec) -> Params:
        """No parameters."""
        return {}

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """The vectors of a batch."""
        return examples["features"]

    def layers(self, params: Params) -> Params:
        """No parameters, so no layers."""
        return {}
