"""No pretraining: the baseline of training from scratch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec


class Scratch(Component):
    """Leaves the encoder at its initial parameters."""

    kind: Literal["scratch"] = "scratch"
    trains: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Any, spec: Spec) -> str | None:
        """None: every encoder can be trained."""
        return None

    def init(self, key: Key[Array, ""], encoder: Any, spec: Spec) -> Params:
        """No parameters."""
        return {}

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Zero; it is never minimised."""
        return jnp.zeros(())
