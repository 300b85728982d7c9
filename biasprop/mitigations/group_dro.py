"""Group distributionally robust optimisation: the worse a group fares, the more it counts (Sagawa et al. 2020)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.interfaces import Labelled, Params
from biasprop.mitigations import groups
from biasprop.mitigations.erm import Erm

ADVERSARY = "adversary"


class GroupDro(Erm):
    """Online algorithm 1 of the paper: weights of groups rise exponentially with the group's loss of each batch."""

    kind: Literal["group_dro"] = "group_dro"
    balanced: groups.Balanced = "subgroup_and_label"
    """What a group is: a pair of subgroup and recorded label, or a subgroup."""
    step: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Step size of the weights; 0 keeps all groups equal for good."""

    needs_groups: ClassVar[bool] = True

    def incompatibility(self, adapter: Any) -> str | None:
        """Why it does not go with a protocol, or None."""
        return None if adapter.adapts_encoder else f"group_dro trains step by step, which {adapter.kind} does not"

    def start(self, train: Labelled) -> dict[str, Any]:
        """Log weights of the groups, equal for all that are present."""
        return {ADVERSARY: jnp.log(jnp.maximum(groups.present(groups.shares(train, self.balanced)), 1e-30))}

    def task(self, task: Any) -> Any:
        """What is minimised, by encoder and head, while the weights of groups rise."""
        return Robust(task, self)


class Robust(NamedTuple):
    """A fine-tuning run against an adversary (a :class:`biasprop.nn.optimisation.ValidatedTask`)."""

    plain: Any
    """What is minimised without it."""
    mitigation: GroupDro

    @property
    def schedule(self) -> Any:
        """The protocol's schedule for all but the adversary, who goes up by its own step."""
        return Opposed(self.plain.schedule, self.mitigation.step)

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Weighted sum of the groups' losses; its slope in the log weights is minus these losses.

        A group that is not in a batch has no loss there and keeps its weight for later; in this batch the others have
        all of it, so that equal groups make plain minimisation.
        """
        losses, rows = self.plain.losses(params, step)
        log_weights = params[ADVERSARY]
        member = groups.members(self.plain.train, self.mitigation.balanced)[rows]
        size = jnp.sum(member, axis=0)
        each = losses @ member / jnp.maximum(size, 1)
        fixed = jax.lax.stop_gradient
        raised = jnp.where(size > 0, log_weights + self.mitigation.step * each, -jnp.inf)
        return fixed(jax.nn.softmax(raised)) @ each - log_weights @ fixed(each) + fixed(log_weights @ each)

    def validation_loss(self, params: Params) -> Float[Array, ""]:
        """As without the adversary, so that every mitigation is stopped by one rule."""
        return self.plain.validation_loss(params)


class Opposed(NamedTuple):
    """A schedule beside which an adversary climbs by plain steps, which is exponentiated gradient ascent."""

    base: Any
    step: float | Float[Array, ""]

    @property
    def steps(self) -> Any:
        """Number of optimiser steps."""
        return self.base.steps

    def optimiser(self) -> Any:
        """The schedule's optimiser, and plain descent for the adversary, whose slope has the other sign."""
        import optax

        climbing = optax.scale(-1.0 * self.step)  # pyright: ignore[reportArgumentType] - may be traced

        def label(params: Params) -> Params:
            return {name: "climbs" if name == ADVERSARY else "learns" for name in params}

        return optax.partition({"learns": self.base.optimiser(), "climbs": climbing}, label)
