"""Scores of everyone who calibrates and tests, under encoders and heads as fine-tuning left them."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from biasprop.interfaces import Params, ReadOut
from biasprop.nn.heads import solve
from biasprop.population.rosters import Roster
from biasprop.training.adapt import Adapted
from biasprop.training.batching import Batch, broadcast, over_cells
from biasprop.training.rendering import ImageSets, encoded


class Scores(NamedTuple):
    """What an arm leaves behind for one draw; everything is log-odds."""

    test: np.ndarray
    train: np.ndarray
    """Of the labelled subjects themselves."""
    selection: np.ndarray
    calibration: np.ndarray
    separability: np.ndarray
    diverged: list[str]
    selection_count: int
    """How many selection subjects the arm was allowed to see."""

    def unusable(self, i: int) -> str:
        """Why the i-th cell has no result: it diverged, or its scores are no numbers; empty where it has one."""
        return self.diverged[i] or ("" if np.isfinite(self.test[i]).all() else "scores are not finite")


class Features(NamedTuple):
    """Features of those who calibrate and test under one encoder, and how they tell subgroups apart."""

    calibration: np.ndarray
    """[w, k, d]"""
    test: np.ndarray
    """[w, subgroup, t, d]"""
    separability: np.ndarray
    """[w, subgroup, t] log-odds of being in the last subgroup, by a probe of the calibration subjects' features."""


class Scorer:
    """Scores one batch under any number of arms; features of the encoder as it was pretrained are computed once.

    Args:
        batch: the cells.
        params: their pretrained encoders.
        who: everyone who is looked at.
        sets: images of ``who``.
    """

    def __init__(self, batch: Batch, params: Params, who: dict[str, Roster], sets: ImageSets):
        self.batch, self.params, self.who, self.sets = batch, params, who, sets
        self._frozen: Features | None = None

    def score(self, adapted: Adapted) -> Scores:
        """Evaluate on everyone who calibrates and tests."""
        features, read = self.features(adapted.encoder), over_cells(_read)
        return Scores(
            np.asarray(read(adapted.head, features.test)),
            np.asarray(read(adapted.head, adapted.train))[:, : adapted.train_count],
            np.asarray(read(adapted.head, adapted.selection)),
            np.asarray(read(adapted.head, features.calibration)),
            features.separability,
            adapted.diverged,
            adapted.selection_count,
        )

    def features(self, params: Params) -> Features:
        """Kept for the encoder as it was pretrained, which all arms of frozen features share."""
        if params is self.params and self._frozen is not None:
            return self._frozen
        twins = np.stack(
            [encoded(self.batch, params, chunks, len(self.who["test"].label)) for chunks in self.sets.test], axis=1
        )
        calibration = encoded(self.batch, params, self.sets.calibration, len(self.who["calibration"].label))
        subgroup = broadcast(self.batch, self.who["calibration"].subgroup)
        features = Features(calibration, twins, np.asarray(over_cells(_separate)(calibration, subgroup, twins)))
        if params is self.params:
            self._frozen = features
        return features


def _read(head: ReadOut, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
    return head(features)


def _separate(
    features: Float[Array, "n d"], subgroup: Int[Array, " n"], twins: Float[Array, "g t d"]
) -> Float[Array, "g t"]:
    """Log-odds of being in the last subgroup rather than the first, by a linear probe of the features."""
    last = twins.shape[0] - 1
    ends = jnp.argsort((subgroup != 0) & (subgroup != last), stable=True)  # first and last subgroup to the front
    count = jnp.sum((subgroup == 0) | (subgroup == last))
    return _read(solve(features[ends], (subgroup[ends] == last).astype(jnp.int32), count, 1e-2), twins)
