"""Last-layer retraining: a new head on balanced subjects the network did not learn from (Kirichenko et al. 2023)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.interfaces import Labelled
from biasprop.mitigations import groups
from biasprop.mitigations.erm import Erm
from biasprop.nn.heads import Head, log_loss, solve


class LastLayerRetraining(Erm):
    """Trains as without mitigation, then fits the head anew to those who select, all groups counting alike.

    The strength of the L2 penalty is the one that, fitted to every other subject, has the lowest loss on the rest,
    groups counting alike; the head is then fitted to all of them.
    """

    kind: Literal["last_layer_retraining"] = "last_layer_retraining"
    balanced: groups.Balanced = "subgroup_and_label"
    """What counts alike: every pair of subgroup and recorded label, or every subgroup."""
    penalties: Annotated[tuple[float, ...], Field(min_length=1, max_length=32)] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Candidate L2 strengths on standardised features, per label."""

    needs_groups: ClassVar[bool] = True
    retrains: ClassVar[bool] = True

    def incompatibility(self, adapter: Any) -> str | None:
        """Why it does not go with a protocol, or None."""
        return (
            None if adapter.linear_head else f"last_layer_retraining needs a linear head, which {adapter.kind} has not"
        )

    def retrained(self, features: Float[Array, "n d"], selection: Labelled) -> Head:
        """The new head.

        Args:
            features: of those who select, by the adapted encoder.
            selection: their labels and subgroups; rows at or beyond the count carry no weight.
        """
        labels, count = selection.labels, selection.count
        weight = groups.balancing(selection, self.balanced)
        odd = jnp.arange(len(labels)) // 4 % 2 == 1  # in fours, because a list goes through its groups in turn
        candidates = jax.vmap(lambda penalty: solve(features, labels, count, penalty, weight * ~odd))(
            jnp.asarray(self.penalties)
        )
        seen = odd & (jnp.arange(len(labels)) < count)

        def judged(head: Head) -> Float[Array, ""]:
            return jnp.sum(jnp.where(seen, weight * log_loss(head(features), labels), 0))

        losses = jax.vmap(judged)(candidates)
        best = jnp.asarray(self.penalties)[jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))]
        return solve(features, labels, count, best, weight)
