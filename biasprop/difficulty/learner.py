"""What a network learns without any pretraining from as many balanced labelled images as it can use.

It is a learner and not the ideal observer: what it lacks against the ledger's other rows is the learner's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.difficulty.observers import TEST, Purpose, ledger_key, twins
from biasprop.nn.optimisation import Schedule
from biasprop.statistics.areas import paired_areas
from biasprop.statistics.difficulty import Ledger, estimated

if TYPE_CHECKING:
    from biasprop.interfaces import Params
    from biasprop.study.conditions import PretrainingCondition

SCHEDULE = Schedule(steps=10_000, batch=64, learning_rate=1e-3, weight_decay=0.05)
"""640,000 images, none of them twice. Rate and decay are those of full fine-tuning."""


class StreamTask(NamedTuple):
    """Learning from a stream (a :class:`biasprop.nn.optimisation.TrainingTask`): each step sees new subjects, equally
    many of every subgroup and label, without augmentation, of which there is no need."""

    generator: Any
    encoder: Any
    schedule: Schedule
    key: Key[Array, ""]

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Log loss of the subjects of a step."""
        import jax
        import jax.numpy as jnp

        from biasprop import keys
        from biasprop.interfaces import Subjects
        from biasprop.nn.heads import log_loss

        index = step * self.schedule.batch + jnp.arange(self.schedule.batch)
        kinds = len(self.generator.subgroups)
        who = Subjects(keys.at_each(self.key, index), index % kinds, index // kinds % 2)
        images = jax.vmap(self.generator.render)(who)
        return jnp.mean(log_loss(params["head"](self.encoder.apply(params["encoder"], images)), who.label))


def trained(task: StreamTask, start: Key[Array, ""], tell: Callable[[int, int], None] | None = None) -> Params | None:
    """Train to the end of the schedule.

    Args:
        task: what is learned from whom.
        start: key of the first parameters.
        tell: called between segments with (step, steps).

    Returns:
        Parameters of ``encoder`` and ``head``; None if training diverged.
    """
    import jax
    import jax.numpy as jnp

    from biasprop.nn import optimisation
    from biasprop.nn.heads import Head

    task = jax.tree.map(jnp.asarray, task)
    encoder, steps = task.encoder, int(task.schedule.steps)
    head = Head(jnp.zeros(encoder.features), jnp.zeros(()))
    state = optimisation.start(task, {"encoder": encoder.init(start, task.generator.shape), "head": head})
    segment = jax.jit(optimisation.segment)
    for done in range(optimisation.segment_count(steps)):
        if tell:
            tell(done * optimisation.SEGMENT, steps)
        state, _ = jax.block_until_ready(segment(task, state))
    return state.params if int(state.diverged_at) == optimisation.NOT_DIVERGED else None


def learned(
    condition: PretrainingCondition, schedule: Schedule = SCHEDULE, tell: Callable[[int, int], None] | None = None
) -> Ledger:
    """Train the condition's encoder on its generator's stream and judge it on the twins that judge all observers.

    Args:
        condition: gives generator and encoder; nothing of its pretraining is used.
        schedule: of the training.
        tell: called between segments with (step, steps).

    Returns:
        One row a subgroup of kind ``learner``; none if training diverged.
    """
    import jax

    from biasprop.difficulty import calibration_cache

    condition = calibration_cache.with_calibration(condition)
    generator, encoder = condition.generator, condition.encoder
    task = StreamTask(generator, encoder, schedule, ledger_key(Purpose.LEARN))
    params = trained(task, ledger_key(Purpose.INIT), tell)
    if params is None:
        return Ledger((), ())
    score = jax.jit(lambda params, images: params["head"](encoder.apply(params["encoder"], images)))
    scores = np.empty((2, len(generator.subgroups), TEST))
    for g, label, place, images in twins(condition, Purpose.TEST, TEST):
        scores[label, g, place] = score(params, images)
    name = f"{encoder.kind} from scratch on {int(schedule.steps) * int(schedule.batch):,} images"
    return estimated(name, "learner", list(generator.subgroups), paired_areas(*scores), TEST)
