"""The learner row of the difficulty ledger: a network trained from scratch on many balanced labelled images.

It bounds the ideal observer from below; its distance from the other rows is due to the network and its training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.nn.optimisation import Schedule
from biasprop.observers.ideal import TEST_SUBJECTS, Purpose, ledger_key, twins
from biasprop.statistics.areas import paired_areas
from biasprop.statistics.difficulty import Ledger, estimated

if TYPE_CHECKING:
    from biasprop.interfaces import Encoder, Generator, Params
    from biasprop.study.conditions import PretrainingCondition

SCHEDULE = Schedule.model_validate(
    {"steps": 10_000, "batch": 64, "learning_rate": 1e-3, "weight_decay": 0.05, "optimiser": "adamw"}
)
"""640,000 images, none repeated."""


class StreamTask(NamedTuple):
    """Training on a stream (a :class:`biasprop.interfaces.TrainingTask`): every step has new subjects, equally
    many of every subgroup and label, without augmentation."""

    generator: Generator
    encoder: Encoder
    schedule: Schedule
    key: Key[Array, ""]
    disease: Int[Array, ""] | None = None
    """Index of the disease, among the generator's; None for the first."""

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """Log loss of the subjects of a step."""
        import jax
        import jax.numpy as jnp

        from biasprop import keys
        from biasprop.interfaces import Subjects
        from biasprop.nn.heads import log_loss

        index = step * self.schedule.batch + jnp.arange(self.schedule.batch)
        g = len(self.generator.subgroups)
        subjects = Subjects(keys.at_each(self.key, index), index % g, index // g % 2)
        if self.disease is not None:
            subjects = subjects._replace(disease=jnp.broadcast_to(self.disease, index.shape))
        examples = jax.vmap(self.generator.observe)(subjects)
        return jnp.mean(log_loss(params["head"](self.encoder.apply(params["encoder"], examples)), subjects.label))


def train_learner(
    task: StreamTask, start: Key[Array, ""], report: Callable[[int, int], None] | None = None
) -> Params | None:
    """Train to the end of the schedule.

    Args:
        task: generator, encoder, schedule and key.
        start: key of the initial parameters.
        report: called between segments with (step, steps).

    Returns:
        Parameters of ``encoder`` and ``head``; None if training diverged.
    """
    import jax
    import jax.numpy as jnp

    from biasprop.nn import optimisation
    from biasprop.nn.heads import Head

    task = jax.tree.map(jnp.asarray, task)
    encoder, steps = task.encoder, int(task.schedule.steps)
    head = Head(jnp.zeros(encoder.features(task.generator.spec)), jnp.zeros(()))
    state = optimisation.start(task, {"encoder": encoder.init(start, task.generator.spec), "head": head})
    segment = jax.jit(optimisation.segment)
    for done in range(optimisation.segment_count(steps)):
        if report:
            report(done * optimisation.SEGMENT, steps)
        state, _ = jax.block_until_ready(segment(task, state))
    return state.params if int(state.diverged_at) == optimisation.NOT_DIVERGED else None


def learner_rows(
    condition: PretrainingCondition,
    schedule: Schedule = SCHEDULE,
    report: Callable[[int, int], None] | None = None,
    disease: int | None = None,
) -> Ledger:
    """Train the condition's encoder on its generator's stream and evaluate it on the test twins of all observers.

    Args:
        condition: condition with generator and encoder; its pretraining is not used.
        schedule: training schedule.
        report: called between segments with (step, steps).
        disease: index of the disease, among the generator's; None for the first.

    Returns:
        One row of kind ``learner`` per subgroup; no rows if training diverged.
    """
    import jax

    from biasprop.observers import calibration_cache

    condition = calibration_cache.with_calibration(condition)
    generator, encoder = condition.generator, condition.encoder
    task = StreamTask(generator, encoder, schedule, ledger_key(Purpose.LEARN), disease)
    params = train_learner(task, ledger_key(Purpose.INIT), report)
    if params is None:
        return Ledger((), ())
    score = jax.jit(lambda params, examples: params["head"](encoder.apply(params["encoder"], examples)))
    scores = np.empty((2, len(generator.subgroups), TEST_SUBJECTS))
    for g, label, rows, examples in twins(condition, Purpose.TEST, TEST_SUBJECTS, disease):
        scores[label, g, rows] = score(params, examples)
    name = f"{encoder.kind} from scratch on {int(schedule.steps) * int(schedule.batch):,} images"
    return estimated(name, "learner", list(generator.subgroups), paired_areas(*scores), TEST_SUBJECTS)
