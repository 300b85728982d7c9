"""Log-odds of the calibration and test subjects under fine-tuned encoders and heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.interfaces import Params, ReadOut
from biasprop.keys import Stream, Subject, at, at_each
from biasprop.nn.heads import solve
from biasprop.population.rosters import Roster
from biasprop.statistics import score_noise
from biasprop.training.adapt import Adapted
from biasprop.training.batching import Batch, broadcast, over_cells, stream
from biasprop.training.rendering import ExampleSets, encoded


class Scores(NamedTuple):
    """Scores of one draw of an arm; all arrays are log-odds with a leading axis over cells."""

    test: np.ndarray
    train: np.ndarray
    """Scores of the labelled subjects."""
    selection: np.ndarray
    calibration: np.ndarray
    separability: np.ndarray
    diverged: list[str]
    selection_count: int
    """Number of validation subjects used by the arm."""

    def unusable(self, i: int) -> str:
        """Why the i-th cell has no result: training diverged, or scores are not finite; empty if it has one."""
        return self.diverged[i] or ("" if np.isfinite(self.test[i]).all() else "scores are not finite")


class Features(NamedTuple):
    """Features of the calibration and test sets under one encoder, and a linear probe of subgroup on them."""

    calibration: np.ndarray
    """[w, k, d]"""
    test: np.ndarray
    """[w, subgroup, t, d]"""
    separability: np.ndarray
    """[w, subgroup, t] log-odds of the last of two subgroups, by a probe fitted to the calibration features; for more
    subgroups, how often the twin scores above twins of the others."""


class Scorer:
    """Scores one batch under any number of arms; features of the pretrained encoder are computed once.

    Args:
        batch: the cells.
        params: their pretrained encoder parameters.
        rosters: subjects of every set.
        sets: examples of ``rosters``.
    """

    def __init__(self, batch: Batch, params: Params, rosters: dict[str, Roster], sets: ExampleSets):
        self.batch, self.params, self.rosters, self.sets = batch, params, rosters, sets
        self._frozen: Features | None = None

    def score(self, adapted: Adapted, noise: Sequence[float] = ()) -> Scores:
        """Score the labelled, validation, calibration and test subjects.

        Args:
            adapted: a fine-tuned encoder and head.
            noise: of the scores of every subgroup (:func:`biasprop.population.shifts.score_noise`), or none.
        """
        features, log_odds = self.features(adapted.encoder), over_cells(_log_odds)
        test = np.asarray(log_odds(adapted.head, features.test))
        calibration = np.asarray(log_odds(adapted.head, features.calibration))
        if any(noise):
            test, calibration = self._noisy(test, calibration, np.asarray(noise))
        return Scores(
            test,
            np.asarray(log_odds(adapted.head, adapted.train))[:, : adapted.train_count],
            np.asarray(log_odds(adapted.head, adapted.selection)),
            calibration,
            features.separability,
            adapted.diverged,
            adapted.selection_count,
        )

    def features(self, params: Params) -> Features:
        """Features under an encoder; cached for the pretrained one, which all arms with a frozen encoder share."""
        if params is self.params and self._frozen is not None:
            return self._frozen
        twins = np.stack(
            [encoded(self.batch, params, chunks, len(self.rosters["test"].label)) for chunks in self.sets.test], axis=1
        )
        calibration = encoded(self.batch, params, self.sets.calibration, len(self.rosters["calibration"].label))
        subgroup = broadcast(self.batch, self.rosters["calibration"].subgroup)
        features = Features(calibration, twins, np.asarray(over_cells(_separability)(calibration, subgroup, twins)))
        if params is self.params:
            self._frozen = features
        return features

    def _noisy(self, test: np.ndarray, calibration: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds of the test and the calibration subjects with noise of a known size.

        A subject has one normal number in all arms, draws and twins, so the noise of two arms differs in size alone. A
        subgroup without noise keeps its bits.

        Args:
            test: [w, subgroup, t].
            calibration: [w, k].
            noise: [subgroup] sd, in units of the sd of the test scores within a class.
        """
        sd = noise * score_noise.within_class_sd(test, self.rosters["test"].label)
        of_test, of_calibration = sd[..., None], sd[:, self.rosters["calibration"].subgroup]
        noisy_test = test + of_test * self._normals(Stream.TEST, test.shape[-1])[:, None]
        noisy_calibration = calibration + of_calibration * self._normals(Stream.CALIBRATION, calibration.shape[-1])
        return (
            np.where(of_test > 0, noisy_test, test).astype(test.dtype),
            np.where(of_calibration > 0, noisy_calibration, calibration).astype(calibration.dtype),
        )

    def _normals(self, name: Stream, n: int) -> np.ndarray:
        """The normal number of each subject of a set: [w, n]."""
        return np.asarray(over_cells(_score_noise)(stream(self.batch, name), broadcast(self.batch, np.arange(n))))


def _log_odds(head: ReadOut, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
    return head(features)


def _score_noise(key: Key[Array, ""], index: Int[Array, " n"]) -> Float[Array, " n"]:
    return jax.vmap(lambda subject: jax.random.normal(at(subject, Subject.SCORE_NOISE)))(at_each(key, index))


def _separability(
    features: Float[Array, "n d"], subgroup: Int[Array, " n"], twins: Float[Array, "g t d"]
) -> Float[Array, "g t"]:
    """Log-odds of the last of two subgroups, by a linear probe; of more, see :func:`_one_against_rest`."""
    if twins.shape[0] > 2:
        return _one_against_rest(features, subgroup, twins)
    return _log_odds(solve(features, (subgroup == 1).astype(jnp.int32), jnp.int32(len(features)), 1e-2), twins)


def _one_against_rest(
    features: Float[Array, "n d"], subgroup: Int[Array, " n"], twins: Float[Array, "g t d"]
) -> Float[Array, "g t"]:
    """Placement of each twin: the share of the twins of all other subgroups that a linear probe of its own subgroup
    against the rest scores lower, ties counting half. Its mean over subjects is the AUC of that probe.
    """

    def placements(own: Int[Array, ""]) -> Float[Array, " t"]:
        probe = solve(features, (subgroup == own).astype(jnp.int32), jnp.int32(len(features)), 1e-2)
        log_odds = _log_odds(probe, twins)
        others = jnp.sort(jnp.where(jnp.arange(len(twins))[:, None] == own, jnp.inf, log_odds).ravel())
        lower, equal = (jnp.searchsorted(others, log_odds[own], side=side) for side in ("left", "right"))
        return (lower + equal) / (2 * (len(twins) - 1) * twins.shape[1])

    return jax.lax.map(placements, jnp.arange(twins.shape[0]))
