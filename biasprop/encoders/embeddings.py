"""A published model that is known by its embeddings alone: its features are read from a file, not computed."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.encoders.identity import Identity
from biasprop.interfaces import Example, Params


class Embeddings(Identity):
    """Passes the embeddings of an example on (``generator.embeddings``). Probes, nearest neighbours and separability
    are computed from them; what needs gradients of the model is refused."""

    kind: Literal["embeddings"] = "embeddings"  # pyright: ignore[reportIncompatibleVariableOverride]
    unit_length: bool = False
    """Divide every vector by its length, for models whose embeddings are compared by their angle."""

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """The embeddings of a batch."""
        vectors = examples["features"]
        if not self.unit_length:
            return vectors
        return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
