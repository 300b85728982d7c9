"""The encoders of a batch of cells: stored ones, or newly pretrained ones, which are then stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biasprop import NUMERICS
from biasprop.execution.checkpoint import Checkpoint
from biasprop.execution.stage_timer import StageTimer
from biasprop.hardware import device
from biasprop.interfaces import Params
from biasprop.nn import optimisation
from biasprop.population.coupling import COUPLING
from biasprop.store.encoders import EncoderStore, encoder_key
from biasprop.study.conditions import PretrainingCondition
from biasprop.study.design import Cell
from biasprop.training import pretrain
from biasprop.training.batching import Batch


def encoder_digest(condition: PretrainingCondition, seed: int) -> str:
    """32 hexadecimal digits of everything an encoder depends on, apart from its replicate and fingerprint.

    Studies that pretrain under the same condition with the same seed share the encoder.
    """
    whole = {"condition": condition.model_dump(mode="json"), "seed": seed, "numerics": NUMERICS}
    if len(condition.generator.subgroups) > 2:
        whole["coupling"] = COUPLING
    # Subgroups keep their order: it decides which index a subject of the cohort gets.
    text = json.dumps([whole, list(condition.generator.subgroups)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class BatchEncoders:
    """The encoders of one batch."""

    batch: Batch
    cells: Sequence[Cell]
    """Of the batch, in its order."""
    seed: int
    """Of the study."""
    fingerprint: dict[str, Any]
    store: EncoderStore
    largest_cohort: int
    """Size of the study's largest pretraining cohort."""
    timer: StageTimer
    report: Callable[[str, int, int], None]
    """Called with stage, step and number of steps."""
    log: Callable[[dict[str, Any]], None]
    """Called with what belongs into the store's event log."""

    def load_or_pretrain(self) -> tuple[Params, list[str]]:
        """All parameters, of the encoder and the objective, and for each cell why it diverged, or an empty string.

        They are loaded where every encoder of the batch is stored, and pretrained and stored otherwise.
        """
        if not self.batch.condition.pretraining.objective.trains:
            return pretrain.pretrain(self.batch, self.report)
        fingerprint = device.fingerprint_digest(self.fingerprint)
        keys = [
            encoder_key(encoder_digest(cell.condition, self.seed), fingerprint, cell.replicate) for cell in self.cells
        ]
        if stored := self._load(keys):
            return stored
        with self.store.locked(keys):  # another process, maybe of another study, may be pretraining them
            return self._load(keys) or self._pretrain(keys)

    def _load(self, keys: list[str]) -> tuple[Params, list[str]] | None:
        found = [self.store.load(key) for key in keys]
        stored = [arrays for arrays in found if arrays is not None]
        if len(stored) < len(keys):
            return None  # before the template, which takes longer than to see that a file is missing
        template = jax.eval_shape(lambda key: pretrain.untrained(self.batch._replace(key=key)), self.batch.key)
        names = _leaf_names(template)
        shapes = [
            (name, leaf.shape[1:], leaf.dtype) for name, leaf in zip(names, jax.tree.leaves(template), strict=True)
        ]
        if any([(name, array.shape, array.dtype) for name, array in arrays.items()] != shapes for arrays in stored):
            return None
        leaves = [jnp.stack([arrays[name] for arrays in stored]) for name in names]
        diverged = [_divergence(self.store.info(key) or {}) for key in keys]
        return jax.tree.unflatten(jax.tree.structure(template), leaves), diverged

    def _pretrain(self, keys: list[str]) -> tuple[Params, list[str]]:
        stages = [name for name, _ in pretrain.stages(self.batch)]
        checkpoint = Checkpoint(self.store, keys, self.log, stages)
        with self.timer.stage("pretrain"):
            params, diverged = pretrain.pretrain(self.batch, self.report, checkpoint, self.largest_cohort)
            jax.block_until_ready(params)
        arrays = {
            name: np.asarray(leaf) for name, leaf in zip(_leaf_names(params), jax.tree.leaves(params), strict=True)
        }
        for i, key in enumerate(dict.fromkeys(keys)):  # without the repetitions of the last cell that fill the batch
            condition = self.cells[i].condition.model_dump(mode="json")
            info = {"diverged": diverged[i], "condition": condition, "fingerprint": self.fingerprint}
            self.store.save(key, {name: array[i] for name, array in arrays.items()}, info)
            self.log({"event": "encoder", "encoder": key})
        checkpoint.drop()
        return params, diverged


def _leaf_names(params: Params) -> list[str]:
    """Names of the leaves, in order."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def _divergence(info: dict[str, Any]) -> str:
    """Why the pretraining of a stored encoder diverged, or an empty string; older files only have the step."""
    step = info.get("diverged_at", optimisation.NOT_DIVERGED)
    return info.get(
        "diverged", "" if step == optimisation.NOT_DIVERGED else f"loss or update of step {step} is not finite"
    )
