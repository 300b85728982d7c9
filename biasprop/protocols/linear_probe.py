"""Linear probe: the head of the task, fitted to frozen features to a tolerance."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import ReadOut, Task


class LinearProbe(Component):
    """L2-regularised fit of the head to frozen features (for a disease, logistic regression).

    The penalty is chosen by validation loss. With few labels it is chosen by cross-validation over the labelled and the
    validation subjects together; the head is fitted to the labelled ones alone, so that validation scores are not those
    of a fit.
    """

    kind: Literal["linear_probe"] = "linear_probe"
    draws: Annotated[int, Field(ge=1, le=100)] = 4
    """Label sets drawn per replicate; results are averaged within the replicate."""
    penalties: Annotated[tuple[float, ...], Field(min_length=1, max_length=32)] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Candidate L2 penalties on standardised features, relative to the mean log loss."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds of the cross-validation."""
    min_labels: Annotated[int, Field(ge=0, le=10_000)] = 500
    """Smallest label budget at which the validation set chooses the penalty; below it, cross-validation does."""

    adapts_encoder: ClassVar[bool] = False
    adapts_all: ClassVar[bool] = False
    linear_head: ClassVar[bool] = True

    def fit(
        self,
        task: Task,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> ReadOut:
        """Fit with every candidate penalty and return the head whose penalty has the lowest loss on subjects left out.

        Rows at or beyond a count have no weight; labelled rows before it have ``weight``.
        """
        counted = (jnp.arange(selection_labels.shape[0]) < selection_count).astype(jnp.float32)
        candidates = jax.vmap(lambda penalty: task.fit(features, labels, count, penalty, weight))(
            jnp.asarray(self.penalties)
        )

        def validation_loss(head: ReadOut) -> Float[Array, ""]:
            return jnp.sum(counted * task.loss(head(selection_features), selection_labels)) / jnp.sum(counted)

        def cross_validation_loss(penalty: Float[Array, ""]) -> Float[Array, ""]:
            n, m = (min(len(rows), self.min_labels) for rows in (labels, selection_labels))
            pooled = jnp.concatenate([features[:n], selection_features[:m]])
            targets = jnp.concatenate([labels[:n], selection_labels[:m]])
            own_weight = jnp.ones(n) if weight is None else weight[:n]
            used = jnp.concatenate([(jnp.arange(n) < count) * own_weight, counted[:m]])
            # Folds are blocks of either set, because rosters cycle through subgroups and labels.
            parts = (jnp.arange(n) * self.folds // count, jnp.arange(m) * self.folds // selection_count)
            fold = jnp.concatenate(parts)

            def loss_of_fold(k: Int[Array, ""]) -> Float[Array, ""]:
                head = task.fit(pooled, targets, jnp.int32(n + m), penalty, used * (fold != k))
                return jnp.sum(jnp.where(fold == k, used * task.loss(head(pooled), targets), 0))

            return jnp.sum(jax.vmap(loss_of_fold)(jnp.arange(self.folds))) / jnp.sum(used)

        losses = jax.lax.cond(
            count + selection_count < self.min_labels,
            lambda: jax.vmap(cross_validation_loss)(jnp.asarray(self.penalties)),
            lambda: jax.vmap(validation_loss)(candidates),
        )
        best = jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))
        return jax.tree.map(lambda leaf: leaf[best], candidates)
