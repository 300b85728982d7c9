"""Federated averaging: sites train on their own examples, and only parameters travel (McMahan et al. 2017)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from biasprop.interfaces import Params, SiteSteps
from biasprop.loops.sites import AcrossSites
from biasprop.nn import optimisation
from biasprop.nn.optimisation import NOT_DIVERGED


class Federation(NamedTuple):
    """State between two rounds."""

    shared: Params
    """Weighted mean over sites of all parameters."""
    local: dict[str, Array]
    """Parameters that stay at the sites, by their place in the tree: [s, ...]."""
    moments: Any
    """State of each site's optimiser: leaves [s, ...]."""
    step: Int[Array, ""]
    diverged_at: Int[Array, ""]


class Sites(NamedTuple):
    """The sites of a round, ``k`` of all, during its local steps."""

    params: Params
    """Leaves [k, ...]."""
    moments: Any
    """Leaves [k, ...]."""
    diverged_at: Int[Array, ""]


class Federated(AcrossSites):
    """Rounds in which sites start from the same parameters, take some steps on batches of their own, and the weighted
    mean of what they reach is where the next round starts."""

    kind: Literal["federated"] = "federated"
    local_steps: Annotated[int, Field(ge=1, le=100)] = 20
    """Steps of each site in a round."""
    participants: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, exclude_if=lambda count: count is None
    )
    """Number of sites in a round, drawn at random for every round; left out: all. They share the images of a step, and
    all the weight."""
    proximal: Annotated[float, Field(ge=0, le=1_000)] = 0.0
    """FedProx (Li et al. 2020): factor of half the squared distance to the parameters at the start of the round, which
    is added to each site's loss."""
    local_norms: bool = False
    """Scales and biases of layer norms stay at their site, the idea of FedBN (Li et al. 2021). The encoder that leaves
    pretraining has their weighted mean."""

    @property
    def segment_steps(self) -> int:
        """Steps per segment: a whole number of rounds."""
        return self.local_steps * -(-optimisation.SEGMENT // self.local_steps)

    def sites_per_round(self, sites: int) -> int:
        """Number of sites, of all, that take part in a round.

        Raises:
            ValueError: there are fewer.
        """
        if self.participants is not None and self.participants > sites:
            raise ValueError(f"is {self.participants}; there are {sites} sites")
        return sites if self.participants is None else self.participants

    def bytes_sent(self, params: Params, sites: int, steps: int) -> int:
        """Bytes that sites send and receive: in a round, each of its sites receives the shared parameters and sends as
        many.

        Args:
            params: of a network, as arrays or their shapes and types.
            sites: number of sites.
            steps: of the schedule.
        """
        local = self._local(params)
        leaves = jax.tree_util.tree_leaves_with_path(params)
        shared = sum(
            leaf.size * leaf.dtype.itemsize for path, leaf in leaves if jax.tree_util.keystr(path) not in local
        )
        return -(-steps // self.local_steps) * 2 * self.sites_per_round(sites) * shared

    def start(self, task: SiteSteps, params: Params) -> Federation:
        """The state before the first round."""
        local, moments = jax.tree.map(
            lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], len(task.site_sizes), axis=0),
            (self._local(params), task.schedule.transformation().init(params)),
        )
        return Federation(params, local, moments, jnp.int32(0), jnp.int32(NOT_DIVERGED))

    def segment(self, task: SiteSteps, state: Federation) -> tuple[Federation, Float[Array, " s"]]:
        """Take ``segment_steps`` steps; returns the state after them, and the weighted loss of each."""

        def one_round(state: Federation, _: None) -> tuple[Federation, Float[Array, " l"]]:
            return self._round(task, state)

        state, losses = jax.lax.scan(one_round, state, length=self.segment_steps // self.local_steps)
        return state, losses.ravel()

    def params(self, state: Federation) -> Params:
        """The parameters after the last round."""
        return state.shared

    def _round(self, task: SiteSteps, state: Federation) -> tuple[Federation, Float[Array, " l"]]:
        """One round; a run that diverges or has ended keeps the parameters from before it."""
        sizes = task.site_sizes
        count = self.sites_per_round(len(sizes))
        everyone = count == len(sizes)
        chosen = jnp.arange(count) if everyone else task.sites_at_random(state.step // self.local_steps)[:count]
        weights = self.site_weights(sizes[chosen])

        def of_chosen(tree: Any) -> Any:
            return tree if everyone else jax.tree.map(lambda leaf: leaf[chosen], tree)

        def with_chosen(old: Any, new: Any) -> Any:
            return new if everyone else jax.tree.map(lambda old, new: old.at[chosen].set(new), old, new)

        start = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], count, axis=0), state.shared)
        start = _replaced(start, of_chosen(state.local))

        def local_step(sites: Sites, ahead: Int[Array, ""]) -> tuple[Sites, Float[Array, ""]]:
            return self._local_step(task, sites, start, chosen, weights, state.step + ahead)

        sites, losses = jax.lax.scan(
            local_step, Sites(start, of_chosen(state.moments), state.diverged_at), jnp.arange(self.local_steps)
        )
        local = with_chosen(state.local, self._local(sites.params))
        shared = jax.tree.map(lambda old, new: old + _mean(weights, new - old), state.shared, sites.params)
        everywhere = self.site_weights(sizes)
        shared = _replaced(shared, {name: _mean(everywhere, leaf) for name, leaf in local.items()})
        reached = {"shared": shared, "local": local, "moments": with_chosen(state.moments, sites.moments)}
        before = {"shared": state.shared, "local": state.local, "moments": state.moments}
        accept = (state.step < task.schedule.steps) & (sites.diverged_at == NOT_DIVERGED)
        kept: Any = jax.tree.map(lambda new, old: jnp.where(accept, new, old), reached, before)
        return Federation(**kept, step=state.step + self.local_steps, diverged_at=sites.diverged_at), losses

    def _local_step(
        self,
        task: SiteSteps,
        sites: Sites,
        start: Params,
        chosen: Int[Array, " k"],
        weights: Float[Array, " k"],
        step: Int[Array, ""],
    ) -> tuple[Sites, Float[Array, ""]]:
        """One step of every site of a round; none moves beyond the schedule, or once one of them has diverged."""
        n = self.images_per_site(task.schedule.batch, len(task.site_sizes))

        def at_site(site: Int[Array, ""], params: Params, moments: Any, start: Params) -> tuple[Any, Array, Array]:
            rows = task.site_rows(site, step, n)
            loss, gradients = jax.value_and_grad(task.site_loss)(params, site, rows, step)
            gradients = jax.tree.map(lambda g, new, old: g + self.proximal * (new - old), gradients, params, start)
            updates, moments = task.schedule.transformation(step).update(gradients, moments, params)
            finite = jnp.isfinite(loss) & jnp.isfinite(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(updates)))
            return (jax.tree.map(jnp.add, params, updates), moments), loss, finite

        moved, losses, finite = jax.vmap(at_site)(chosen, sites.params, sites.moments, start)
        healthy: Bool[Array, ""] = jnp.all(finite | (weights == 0))
        running = (step < task.schedule.steps) & (sites.diverged_at == NOT_DIVERGED)
        before = sites.params, sites.moments
        kept: Any = jax.tree.map(lambda new, old: jnp.where(running & healthy, new, old), moved, before)
        diverged_at = jnp.where(running & ~healthy, step, sites.diverged_at)
        return Sites(kept[0], kept[1], diverged_at), jnp.where(running, _mean(weights, losses), jnp.nan)

    def _local(self, params: Params) -> dict[str, Any]:
        """The parameters that stay at the sites, by their place in the tree."""
        from biasprop.nn import layers

        if not self.local_norms:
            return {}
        leaves, stays = jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(layers.norm_parameters(params))
        return {jax.tree_util.keystr(path): leaf for (path, leaf), local in zip(leaves, stays, strict=True) if local}


def _mean(weights: Float[Array, " k"], values: Float[Array, "k *s"]) -> Float[Array, "*s"]:
    """Weighted sum over sites; what is not finite at a site without weight counts nothing."""
    weighted = weights.reshape(-1, *[1] * (values.ndim - 1))
    return jnp.sum(jnp.where(weighted > 0, weighted * values, 0), axis=0)


def _replaced(params: Params, leaves: dict[str, Array]) -> Params:
    """A tree with some leaves replaced, by their place."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaves.get(jax.tree_util.keystr(path), leaf), params)
