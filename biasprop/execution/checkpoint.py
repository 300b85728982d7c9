"""Checkpoints of pretraining, so that a killed process costs minutes of a long pretraining at most."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biasprop.interfaces import LoopState
from biasprop.store.encoders import EncoderStore

INTERVAL_S = 300.0
"""Seconds between two checkpoints; a kill loses no more than that, plus the segment of steps it interrupts."""


class Checkpoint:
    """The last training state of one batch in each stage, stored beside its encoders.

    Files are written atomically, with a checksum and without pickle. Only for a process that holds the locks of all
    these encoders.

    Args:
        store: of the encoders.
        keys: of the batch's encoders, in its order.
        report: called with an event when a training continues from a checkpoint.
        stages: names of the stages; the checkpoint of the first is named as the encoder alone.
    """

    def __init__(
        self,
        store: EncoderStore,
        keys: Sequence[str],
        report: Callable[[dict[str, Any]], None],
        stages: Sequence[str] = ("pretrain",),
    ):
        batch = "" if len(keys) == 1 else "-" + hashlib.blake2b("\n".join(keys).encode(), digest_size=8).hexdigest()
        self._store, self._key, self._report = store, f"{keys[0]}{batch}.training", report
        self._stages, self._saved_at = stages, time.monotonic()

    def restored(self, fresh: LoopState, stage: str) -> LoopState:
        """The saved state of a stage; ``fresh`` if there is none, or it is damaged or has another structure."""
        leaves, structure = jax.tree.flatten(fresh)
        key = self._stage_key(stage)
        arrays = list((self._store.load(key) or {}).values())
        if [(a.shape, a.dtype) for a in arrays] != [(leaf.shape, leaf.dtype) for leaf in leaves]:
            return fresh
        state = jax.tree.unflatten(structure, [jnp.array(array) for array in arrays])
        self._report({"event": "resumed", "encoder": key, "step": int(np.max(state.step))})
        return state

    def keep(self, state: LoopState, stage: str, now: bool = False) -> None:
        """Save a state between two segments, if :data:`INTERVAL_S` have passed since the last save, or ``now``."""
        if time.monotonic() - self._saved_at < INTERVAL_S and not now:
            return
        leaves = jax.tree_util.tree_leaves_with_path(state)
        arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
        self._store.save(self._stage_key(stage), arrays, {"step": int(np.max(state.step))})
        self._saved_at = time.monotonic()

    def drop(self) -> None:
        """Remove the checkpoints, once the encoders are stored."""
        for stage in self._stages:
            self._store.delete(self._stage_key(stage))

    def _stage_key(self, stage: str) -> str:
        return self._key if stage == self._stages[0] else f"{self._key}-{stage}"
