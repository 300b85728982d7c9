"""Full fine-tuning of all parameters until the validation loss has stopped falling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Encoder, FeatureMap, FinetuningLoss, Labelled, Params, ReadOut, Task
from biasprop.keys import at, at_each
from biasprop.nn.optimisation import ConstantSchedule
from biasprop.nn.stopping import Plateau
from biasprop.nn.views import Augmentation

if TYPE_CHECKING:
    import optax

MAX_VALIDATION_CHUNK = 250
"""Largest number of validation subjects per call of the encoder."""


class Recipe(Component):
    """Schedule and augmentation of fine-tuning."""

    schedule: ConstantSchedule = ConstantSchedule(batch=32, learning_rate=3e-4, weight_decay=0.05)
    """Largest number of steps, batch size, optimiser and learning rate."""
    stopping: Plateau = Plateau()
    """When the learning rate falls and training ends."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Learning rate of a layer as a fraction of that of the next, of which the head is the last (Clark et al. 2020)."""
    head_first: bool = True
    """Fit the head to the frozen features before anything else is trained (Kumar et al., ICLR 2022)."""
    head_penalty: Annotated[float, Field(gt=0, le=1e6)] = 0.1
    """L2 penalty of that fit, on standardised features and relative to the mean log loss."""
    augmentation: Augmentation = Augmentation()
    """Augmentation of the labelled images."""


class Full(Component):
    """Trains the encoder from its pretrained parameters together with the head of the task.

    An encoder without pretraining has its own recipe, so that training from scratch is equally well tuned.
    """

    kind: Literal["full"] = "full"
    draws: Annotated[int, Field(ge=1, le=100)] = 1
    """Label sets drawn per replicate."""
    pretrained: Recipe = Recipe()
    """Recipe for pretrained encoders."""
    scratch: Recipe = Recipe(
        schedule=ConstantSchedule(batch=32, learning_rate=1e-3, weight_decay=0.2),
        stopping=Plateau(fixed_steps=2_400),
        layer_decay=1.0,
    )
    """Recipe for encoders without pretraining. The largest number of steps and the rule for the plateau are those of
    pretrained encoders; with few labels, scratch needs more steps."""

    adapts_encoder: ClassVar[bool] = True
    adapts_all: ClassVar[bool] = True
    linear_head: ClassVar[bool] = True

    def recipe(self, pretrained: bool) -> Recipe:
        """The recipe for a pretrained, or an untrained, encoder."""
        return self.pretrained if pretrained else self.scratch

    def start(self, key: Key[Array, ""], encoder: Encoder, params: Params, head: ReadOut) -> Params:
        """Encoder parameters and the head."""
        return {"encoder": params, "head": head}

    def trainable(self, encoder: Encoder, params: Params) -> FeatureMap:
        """The encoder as a function of its trainable parameters."""
        return encoder

    def training(
        self,
        task: Task,
        encoder: Encoder,
        params: Params,
        pretrained: bool,
        train: Labelled,
        selection: Labelled,
        key: Key[Array, ""],
    ) -> FinetuningLoss:
        """The loss to minimise on these labels."""
        recipe = self.recipe(pretrained)
        numbers = encoder.layers(params)
        head = max(jax.tree.leaves(numbers)) + 1
        rates = jax.tree.map(lambda number: recipe.layer_decay ** (head - number), numbers)
        return FinetuningTask(task, self.trainable(encoder, params), recipe, rates, train, selection, key)

    def merge(self, encoder: Encoder, params: Params, trained: Params) -> Params:
        """The trained parameters; they are those of the whole encoder."""
        return trained


class FinetuningTask(NamedTuple):
    """One fine-tuning run (a :class:`biasprop.interfaces.TrainingTask`)."""

    task: Task
    encoder: FeatureMap
    recipe: Recipe
    layer_rates: Params
    """Learning rate of each parameter of the encoder as a fraction of that of the head; a parameter may be a tree."""
    train: Labelled
    selection: Labelled
    key: Key[Array, ""]

    @property
    def schedule(self) -> LayerwiseSchedule:
        """The recipe's schedule, layer by layer."""
        return LayerwiseSchedule(self.recipe.schedule, self.layer_rates)

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Mean (weighted) loss of a random batch of augmented labelled images."""
        losses, rows = self.losses(params, step)
        return jnp.mean(losses) if self.train.weight is None else jnp.mean(self.train.weight[rows] * losses)

    def losses(self, params: Params, step: Int[Array, ""]) -> tuple[Float[Array, " b"], Int[Array, " b"]]:
        """Loss of each view of a batch, and the row of its labelled subject."""
        key = at(self.key, step)
        n = self.schedule.batch
        rows = _sample_rows(at(key, 0), n, self.train)
        examples = jax.tree.map(lambda array: array[rows], self.train.inputs)
        views = jax.vmap(self.recipe.augmentation.view)(at_each(at(key, 1), jnp.arange(n)), examples)
        outputs = params["head"](self.encoder.apply(params["encoder"], views))
        return self.task.loss(outputs, self.train.labels[rows]), rows

    def validation_loss(self, params: Params) -> Float[Array, ""]:
        """Mean loss of the validation subjects, chunk by chunk; chunks of padding alone are skipped."""
        n = len(self.selection.labels)
        chunk = next(k for k in range(min(n, MAX_VALIDATION_CHUNK), 0, -1) if n % k == 0)

        def add(i: Int[Array, ""], total: Float[Array, ""]) -> Float[Array, ""]:
            examples, labels = jax.tree.map(
                lambda rows: jax.lax.dynamic_slice_in_dim(rows, i * chunk, chunk),
                (self.selection.inputs, self.selection.labels),
            )
            counted = i * chunk + jnp.arange(chunk) < self.selection.count
            outputs = params["head"](self.encoder.apply(params["encoder"], examples))
            return total + jnp.sum(jnp.where(counted, self.task.loss(outputs, labels), 0))

        chunks = -(-self.selection.count // chunk)
        return jax.lax.fori_loop(0, chunks, add, jnp.float32(0)) / self.selection.count


class LayerwiseSchedule(NamedTuple):
    """A schedule with a learning rate for each layer of the encoder."""

    base: ConstantSchedule
    layer_rates: Params

    @property
    def steps(self) -> int | Int[Array, ""]:
        """Largest number of optimiser steps."""
        return self.base.steps

    @property
    def batch(self) -> int:
        """Labelled images per step."""
        return self.base.batch

    def transformation(self) -> optax.GradientTransformation:
        """The schedule's optimiser with updates (weight decay included) in proportion to the rate of each layer."""
        import optax

        def scaled(rate: Array, update: Params) -> Params:
            return jax.tree.map(lambda leaf: rate * leaf, update)

        def scale(updates: Params, _: Params | None) -> Params:
            return updates | {"encoder": jax.tree.map(scaled, self.layer_rates, updates["encoder"])}

        return optax.chain(self.base.transformation(), optax.stateless(scale))


def _sample_rows(key: Key[Array, ""], n: int, train: Labelled) -> Int[Array, " n"]:
    """Rows of ``n`` random labelled subjects, by their sampling weights if there are any."""
    if train.sampling_weight is None:
        return jax.random.randint(key, (n,), 0, train.count)
    cumulative = jnp.cumsum(jnp.where(jnp.arange(len(train.sampling_weight)) < train.count, train.sampling_weight, 0))
    return jnp.searchsorted(cumulative, cumulative[-1] * jax.random.uniform(key, (n,)), side="right").clip(
        0, train.count - 1
    )
