"""Group distributionally robust optimisation: groups of higher loss get more weight (Sagawa et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.interfaces import FinetuningLoss, FineTuningMethod, Labelled, Params, TrainingSchedule, ValidatedTask
from biasprop.mitigations import groups
from biasprop.mitigations.erm import Erm

if TYPE_CHECKING:
    import optax

ADVERSARY = "adversary"


class GroupDro(Erm):
    """Algorithm 1 of the paper (online): the weight of a group grows exponentially with its loss in each batch."""

    kind: Literal["group_dro"] = "group_dro"
    balanced: groups.Grouping = "subgroup_and_label"
    """Definition of a group: subgroup and recorded label, or subgroup alone."""
    step: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Step size of the group weights; 0 keeps all groups equally weighted."""

    needs_groups: ClassVar[bool] = True

    def incompatibility(self, protocol: FineTuningMethod) -> str | None:
        """Why it cannot be combined with a protocol, or None."""
        return None if protocol.adapts_encoder else f"group_dro needs gradient fine-tuning; {protocol.kind} has none"

    def start(self, train: Labelled) -> dict[str, Any]:
        """Log weights of the groups, equal for all groups with members."""
        return {ADVERSARY: jnp.log(jnp.maximum(groups.equal_shares(groups.group_shares(train, self.balanced)), 1e-30))}

    def training(self, base: FinetuningLoss) -> ValidatedTask:
        """The min-max loss: encoder and head minimise, group weights maximise."""
        return GroupDroTask(base, self)


class GroupDroTask(NamedTuple):
    """A fine-tuning task with adversarial group weights (a :class:`biasprop.interfaces.ValidatedTask`)."""

    base_task: FinetuningLoss
    """The task of the protocol."""
    mitigation: GroupDro

    @property
    def schedule(self) -> TrainingSchedule:
        """The protocol's schedule, and gradient ascent on the group weights with their own step size."""
        return AdversarialSchedule(self.base_task.schedule, self.mitigation.step)

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Weighted sum of the group losses; its gradient in the log weights is minus these losses.

        A group without members in a batch keeps its weight; within the batch weights are normalised over the groups
        that have members, so equal groups reduce to empirical risk minimisation.
        """
        losses, rows = self.base_task.losses(params, step)
        log_weights = params[ADVERSARY]
        member = groups.group_membership(self.base_task.train, self.mitigation.balanced)[rows]
        size = jnp.sum(member, axis=0)
        group_losses = losses @ member / jnp.maximum(size, 1)
        stop = jax.lax.stop_gradient
        raised = jnp.where(size > 0, log_weights + self.mitigation.step * group_losses, -jnp.inf)
        weighted = stop(jax.nn.softmax(raised)) @ group_losses
        # The last two terms add 0 to the loss and minus the group losses to the gradient of the log weights.
        return weighted - log_weights @ stop(group_losses) + stop(log_weights @ group_losses)

    def validation_loss(self, params: Params) -> Float[Array, ""]:
        """The protocol's validation loss: early stopping is the same for all mitigations."""
        return self.base_task.validation_loss(params)


class AdversarialSchedule(NamedTuple):
    """A schedule plus plain gradient ascent on the log group weights, which is exponentiated gradient ascent."""

    base: TrainingSchedule
    step: float | Float[Array, ""]

    @property
    def steps(self) -> int | Int[Array, ""]:
        """Number of optimiser steps."""
        return self.base.steps

    def transformation(self) -> optax.GradientTransformation:
        """The schedule's optimiser, and plain gradient steps for the adversary, whose gradient has the other sign."""
        import optax

        ascent = optax.scale(-1.0 * self.step)  # pyright: ignore[reportArgumentType] - may be traced

        def label(params: Params) -> Params:
            return {name: "adversary" if name == ADVERSARY else "model" for name in params}

        return optax.partition({"model": self.base.transformation(), "adversary": ascent}, label)
