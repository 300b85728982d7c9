"""With all levers off, a network trained to separate the subgroups cannot; takes minutes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS
from biasprop.generators.images import ImageGenerator
from biasprop.interfaces import Params, Subjects
from biasprop.nn import optimisation
from biasprop.nn.heads import Head, log_loss
from biasprop.population import sampling
from tests.members import SEED, auc, differing, member

CHUNK = 500
TESTED = 60_000
"""Number of held-out subjects; the standard error of an AUC of .5 is .0024."""
SCHEDULE = optimisation.Schedule(steps=600, batch=128)


class Decoding(NamedTuple):
    """Log loss of the subgroup on a stream of new subjects (a :class:`biasprop.nn.optimisation.TrainingTask`)."""

    generator: Any
    encoder: Any
    schedule: optimisation.Schedule
    key: Any

    def members(self, rows: Any) -> Subjects:
        """Subjects with equal shares of both subgroups, drawn like a pretraining cohort."""
        own = keys.stream(self.key, keys.Stream.PRETRAIN_SUBJECTS)
        return sampling.cohort(own, rows, dict.fromkeys(self.generator.subgroups, 0.5), 0.5)

    def read(self, params: Params, who: Subjects) -> Any:
        """Log-odds of the second subgroup."""
        return params["head"](self.encoder.apply(params["encoder"], jax.vmap(self.generator.observe)(who)))

    def loss(self, params: Params, step: Any) -> Any:
        """Mean log loss of a batch."""
        who = self.members(step * self.schedule.batch + jnp.arange(self.schedule.batch))
        return jnp.mean(log_loss(self.read(params, who), who.subgroup))


_start, _segment = jax.jit(optimisation.start), jax.jit(optimisation.segment)


@jax.jit
def _score_chunk(task: Decoding, params: Params, first: Any) -> Any:
    who = task.members(first + jnp.arange(CHUNK))
    return who.subgroup, task.read(params, who)


def decoded(generator: Any) -> float:
    """AUC of the default encoder, trained to separate the subgroups, on held-out subjects."""
    encoder, key = ENCODERS["vit"](), keys.replicate(SEED, 0)
    task = Decoding(generator, encoder, SCHEDULE, key)
    head = Head(jnp.zeros(encoder.features(generator.spec)), jnp.zeros(()))
    state = _start(task, {"encoder": encoder.init(keys.stream(key, keys.Stream.INIT), generator.spec), "head": head})
    for _ in range(optimisation.segment_count(SCHEDULE.steps)):
        state, _ = _segment(task, state)
    taught = SCHEDULE.steps * SCHEDULE.batch
    judged = [_score_chunk(task, state.params, first) for first in range(taught, taught + TESTED, CHUNK)]
    subgroup, score = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*judged, strict=True))
    return auc(subgroup, score)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", [kind for kind, cls in GENERATORS.items() if issubclass(cls, ImageGenerator)])
def test_a_trained_network_cannot_separate_equal_subgroups(kind: str) -> None:
    assert abs(decoded(member("generators", kind, size=32)) - 0.5) < 0.01
    assert decoded(differing(kind, size=32)) > 0.6, "the network fails even if subgroups differ"
