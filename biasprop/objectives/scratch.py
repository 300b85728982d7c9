"""No pretraining at all: the reference that pretraining has to beat."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from biasprop.component import Component
from biasprop.interfaces import Params


class Scratch(Component):
    """Leaves the encoder at its initial parameters."""

    kind: Literal["scratch"] = "scratch"
    trains: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Any, shape: tuple[int, int, int]) -> str | None:
        """Why an encoder of images of this shape cannot be trained by this objective; every encoder can."""
        return None

    def init(self, key: Key[Array, ""], encoder: Any, shape: tuple[int, int, int]) -> Params:
        """Nothing to keep."""
        return {}

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        images: Float[Array, "n h w c"],
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Always 0."""
        return jnp.zeros(())
