"""Full fine-tuning: every parameter moves; the best parameters by selection loss inside a fixed length are kept."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Labelled, Params
from biasprop.keys import at, at_each
from biasprop.nn.heads import Head, log_loss
from biasprop.nn.optimisation import Schedule
from biasprop.nn.views import Augmentation

SEEN = 250
"""Most selection subjects judged at once."""


class Recipe(Component):
    """How long and on which views a network is fine-tuned."""

    schedule: Schedule = Schedule(steps=1_200, batch=32, learning_rate=1e-3)
    """Steps, batch and rate."""
    augmentation: Augmentation = Augmentation()
    """Views of the labelled images."""


class Full(Component):
    """Trains encoder and head together from the pretrained parameters, head from zero.

    An encoder that was never pretrained follows a recipe of its own, so that scratch is as well tuned as the rest.
    """

    kind: Literal["full"] = "full"
    draws: Annotated[int, Field(ge=1, le=100)] = 1
    """Label sets drawn in each replicate."""
    pretrained: Recipe = Recipe()
    """Recipe for pretrained encoders."""
    scratch: Recipe = Recipe(schedule=Schedule(steps=4_800, batch=32, learning_rate=1e-3))
    """Recipe for encoders that were never pretrained; they need more steps to converge."""

    adapts_encoder: ClassVar[bool] = True
    adapts_all: ClassVar[bool] = True
    linear_head: ClassVar[bool] = True

    def recipe(self, pretrained: bool) -> Recipe:
        """The recipe for an encoder that was, or was not, pretrained."""
        return self.pretrained if pretrained else self.scratch

    def start(self, key: Key[Array, ""], encoder: Any, params: Params) -> Params:
        """Encoder parameters and a head of zeros."""
        return {"encoder": params, "head": Head(jnp.zeros(encoder.features), jnp.zeros(()))}

    def task(
        self, encoder: Any, params: Params, pretrained: bool, train: Labelled, selection: Labelled, key: Key[Array, ""]
    ) -> Any:
        """What is minimised on these labels."""
        return FinetuningTask(encoder, self.recipe(pretrained), train, selection, key)

    def merge(self, encoder: Any, params: Params, trained: Params) -> Params:
        """What moved is the whole encoder."""
        return trained


class FinetuningTask(NamedTuple):
    """One fine-tuning run (a :class:`biasprop.nn.optimisation.TrainingTask`)."""

    encoder: Any
    recipe: Recipe
    train: Labelled
    selection: Labelled
    key: Key[Array, ""]

    @property
    def schedule(self) -> Schedule:
        """The recipe's schedule."""
        return self.recipe.schedule

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Mean log loss of a random batch of augmented views of the labelled images."""
        losses, rows = self.losses(params, step)
        return jnp.mean(losses) if self.train.weight is None else jnp.mean(self.train.weight[rows] * losses)

    def losses(self, params: Params, step: Int[Array, ""]) -> tuple[Float[Array, " b"], Int[Array, " b"]]:
        """Log loss of each view of a batch, and whose view it is."""
        key = at(self.key, step)
        n = self.schedule.batch
        rows = _drawn(at(key, 0), n, self.train)
        views = jax.vmap(self.recipe.augmentation.view)(at_each(at(key, 1), jnp.arange(n)), self.train.images[rows])
        log_odds = params["head"](self.encoder.apply(params["encoder"], views))
        return log_loss(log_odds, self.train.labels[rows]), rows

    def validation_loss(self, params: Params) -> Float[Array, ""]:
        """Mean log loss of the selection subjects; padding is looked at only where it shares a piece with them."""
        n = len(self.selection.labels)
        piece = next(k for k in range(min(n, SEEN), 0, -1) if n % k == 0)

        def add(i: Int[Array, ""], total: Float[Array, ""]) -> Float[Array, ""]:
            images, labels = (
                jax.lax.dynamic_slice_in_dim(rows, i * piece, piece)
                for rows in (self.selection.images, self.selection.labels)
            )
            seen = i * piece + jnp.arange(piece) < self.selection.count
            log_odds = params["head"](self.encoder.apply(params["encoder"], images))
            return total + jnp.sum(jnp.where(seen, log_loss(log_odds, labels), 0))

        pieces = -(-self.selection.count // piece)
        return jax.lax.fori_loop(0, pieces, add, jnp.float32(0)) / self.selection.count


def _drawn(key: Key[Array, ""], n: int, train: Labelled) -> Int[Array, " n"]:
    """Random labelled subjects, each with its chance where there are chances."""
    if train.chance is None:
        return jax.random.randint(key, (n,), 0, train.count)
    upto = jnp.cumsum(jnp.where(jnp.arange(len(train.chance)) < train.count, train.chance, 0))
    return jnp.searchsorted(upto, upto[-1] * jax.random.uniform(key, (n,)), side="right").clip(0, train.count - 1)
