"""Linear probe: the head of the task, fitted to frozen features to a tolerance."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import ReadOut


class LinearProbe(Component):
    """L2-regularised fit of the head to frozen features (for a disease, logistic regression); the penalty is chosen by
    validation loss."""

    kind: Literal["linear_probe"] = "linear_probe"
    draws: Annotated[int, Field(ge=1, le=100)] = 4
    """Label sets drawn per replicate; results are averaged within the replicate."""
    penalties: Annotated[tuple[float, ...], Field(min_length=1, max_length=32)] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Candidate L2 penalties on standardised features, relative to the mean log loss."""

    adapts_encoder: ClassVar[bool] = False
    adapts_all: ClassVar[bool] = False
    linear_head: ClassVar[bool] = True

    def fit(
        self,
        task: Any,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> ReadOut:
        """Fit with every candidate penalty and return the head of lowest validation loss.

        Rows at or beyond a count have no weight; labelled rows before it have ``weight``.
        """
        counted = (jnp.arange(selection_labels.shape[0]) < selection_count).astype(jnp.float32)
        candidates = jax.vmap(lambda penalty: task.fit(features, labels, count, penalty, weight))(
            jnp.asarray(self.penalties)
        )

        def validation_loss(head: ReadOut) -> Float[Array, ""]:
            return jnp.sum(counted * task.loss(head(selection_features), selection_labels)) / jnp.sum(counted)

        losses = jax.vmap(validation_loss)(candidates)
        best = jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))
        return jax.tree.map(lambda leaf: leaf[best], candidates)
