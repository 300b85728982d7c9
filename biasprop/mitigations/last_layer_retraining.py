"""Last-layer retraining: refit the head on the validation set with balanced groups (Kirichenko et al. 2023)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.interfaces import FineTuningMethod, Labelled, ReadOut, Task
from biasprop.mitigations import groups
from biasprop.mitigations.erm import Erm


class LastLayerRetraining(Erm):
    """Trains without mitigation, then refits the head on the validation set with equal total weight of all groups.

    The L2 penalty is chosen by two-fold split: candidates are fitted to one half of the validation set and compared by
    balanced loss on the other; the head is then fitted to all of it.
    """

    kind: Literal["last_layer_retraining"] = "last_layer_retraining"
    balanced: groups.Grouping = "subgroup_and_label"
    """Groups that get equal total weight: pairs of subgroup and recorded label, or subgroups."""
    penalties: Annotated[tuple[float, ...], Field(min_length=1, max_length=32)] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Candidate L2 penalties on standardised features, relative to the mean log loss."""

    needs_groups: ClassVar[bool] = True

    def incompatibility(self, protocol: FineTuningMethod) -> str | None:
        """Why it cannot be combined with a protocol, or None."""
        return None if protocol.linear_head else f"last_layer_retraining needs a linear head; {protocol.kind} has none"

    def retrained(self, task: Task, features: Float[Array, "n d"], selection: Labelled) -> ReadOut:
        """The refitted head.

        Args:
            task: what is predicted.
            features: of the validation set, by the adapted encoder.
            selection: its labels and subgroups; rows at or beyond the count have no weight.
        """
        labels, count = selection.labels, selection.count
        weight = groups.balanced_weights(selection, self.balanced)
        held_out = jnp.arange(len(labels)) // 4 % 2 == 1  # alternate blocks of 4, because rosters cycle through groups
        candidates = jax.vmap(lambda penalty: task.fit(features, labels, count, penalty, weight * ~held_out))(
            jnp.asarray(self.penalties)
        )
        counted = held_out & (jnp.arange(len(labels)) < count)

        def balanced_loss(head: ReadOut) -> Float[Array, ""]:
            return jnp.sum(jnp.where(counted, weight * task.loss(head(features), labels), 0))

        losses = jax.vmap(balanced_loss)(candidates)
        best = jnp.asarray(self.penalties)[jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))]
        return task.fit(features, labels, count, best, weight)
