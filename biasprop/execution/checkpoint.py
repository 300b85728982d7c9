"""Training states on their way, kept so that a kill never costs more than minutes of a long pretraining."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biasprop.nn.optimisation import State
from biasprop.store.encoders import EncoderStore

INTERVAL_S = 300.0
"""Work that is done before a state is kept, and so the most that is lost of a pretraining, apart from the segment in
which a kill falls."""


STAGES = ("pretrain", "continue")
"""Trainings that an encoder may take, each with a state of its own."""


class Checkpoint:
    """The last kept states of one batch, in the folder of its encoders: whole or not at all, checksummed, no pickle.

    For the holder of the claims of all these encoders.

    Args:
        store: of the encoders.
        keys: of the batch's encoders, in its order.
        report: called with an event when a training goes on from a kept state.
    """

    def __init__(self, store: EncoderStore, keys: Sequence[str], report: Callable[[dict[str, Any]], None]):
        together = "" if len(keys) == 1 else "-" + hashlib.blake2b("\n".join(keys).encode(), digest_size=8).hexdigest()
        self._store, self._key, self._report = store, f"{keys[0]}{together}.training", report
        self._kept = time.monotonic()

    def restored(self, fresh: State, stage: str) -> State:
        """The kept state of a stage, to the bit; ``fresh`` where there is none, or it is damaged or of another
        structure."""
        leaves, structure = jax.tree.flatten(fresh)
        key = self._place(stage)
        arrays = list((self._store.load(key) or {}).values())
        if [(a.shape, a.dtype) for a in arrays] != [(leaf.shape, leaf.dtype) for leaf in leaves]:
            return fresh
        state = jax.tree.unflatten(structure, [jnp.array(array) for array in arrays])
        self._report({"event": "resumed", "encoder": key, "step": int(np.max(state.step))})
        return state

    def keep(self, state: State, stage: str, now: bool = False) -> None:
        """Keep a state between two segments, if :data:`INTERVAL_S` have passed since the last one was, or ``now``."""
        if time.monotonic() - self._kept < INTERVAL_S and not now:
            return
        leaves = jax.tree_util.tree_leaves_with_path(state)
        arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
        self._store.save(self._place(stage), arrays, {"step": int(np.max(state.step))})
        self._kept = time.monotonic()

    def drop(self) -> None:
        """Remove them: the encoders are stored."""
        for stage in STAGES:
            self._store.delete(self._place(stage))

    def _place(self, stage: str) -> str:
        return self._key if stage == STAGES[0] else f"{self._key}-{stage}"
