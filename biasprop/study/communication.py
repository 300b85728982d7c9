"""Bytes that the sites of a pretraining send and receive, counted from the shapes of the parameters alone."""

from __future__ import annotations

from typing import Any

from biasprop.interfaces import HasSites
from biasprop.study.conditions import PretrainingCondition


def bytes_sent(condition: PretrainingCondition) -> int:
    """Bytes of parameters that travel in all stages of a pretraining; 0 if nothing but images would."""
    total = 0
    for stage in condition.stages():
        loop = stage.pretraining.loop
        if isinstance(loop, HasSites):
            total += loop.bytes_sent(_shapes(stage), len(stage.sites()), int(stage.pretraining.schedule.steps))
    return total


def _shapes(condition: PretrainingCondition) -> Any:
    """Shapes and types of the parameters of a stage."""
    import jax

    from biasprop import keys

    encoder, objective, spec = condition.encoder, condition.pretraining.objective, condition.generator.spec
    key = keys.replicate(0, 0)
    return jax.eval_shape(lambda: {"encoder": encoder.init(key, spec), "extra": objective.init(key, encoder, spec)})
