"""Linear probe: logistic regression on frozen features, a convex fit solved to tolerance."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.nn.heads import Head, log_loss, solve


class LinearProbe(Component):
    """Freezes the encoder; L2-regularised logistic regression, its strength chosen by loss on the selection set."""

    kind: Literal["linear_probe"] = "linear_probe"
    draws: Annotated[int, Field(ge=1, le=100)] = 4
    """Label sets drawn in each replicate; their scores are averaged within the replicate."""
    penalties: Annotated[tuple[float, ...], Field(min_length=1, max_length=32)] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Candidate L2 strengths on standardised features, per label."""

    adapts_encoder: ClassVar[bool] = False
    adapts_all: ClassVar[bool] = False
    linear_head: ClassVar[bool] = True

    def fit(
        self,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Head:
        """Fit every candidate strength and keep the one with the lowest selection loss.

        Rows at or beyond a count carry no weight, labelled ones otherwise ``weight``.
        """
        chosen = (jnp.arange(selection_labels.shape[0]) < selection_count).astype(jnp.float32)
        candidates = jax.vmap(lambda penalty: solve(features, labels, count, penalty, weight))(
            jnp.asarray(self.penalties)
        )

        def judged(head: Head) -> Float[Array, ""]:
            return jnp.sum(chosen * log_loss(head(selection_features), selection_labels)) / jnp.sum(chosen)

        losses = jax.vmap(judged)(candidates)
        best = jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))
        return jax.tree.map(lambda leaf: leaf[best], candidates)
