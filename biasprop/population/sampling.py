"""Who is in a data set: shares, prevalences and shifts -> subgroup, label and circumstances of every subject."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.interfaces import Subjects
from biasprop.keys import Subject, at, at_each
from biasprop.population.shifts import Shift, shifted_prevalence

SPREAD_STEP = {"annotation": (5**0.5 - 1) / 2, "inclusion": 2**0.5 - 1}
"""Steps of :func:`_evenly_spread`, one a purpose: with 1 they are independent over the rationals, so that who is recorded
wrongly and who is included have nothing to do with each other."""


def cohort(
    key: Key[Array, ""],
    indices: Int[Array, " n"],
    shares: Mapping[str, float | Float[Array, ""]],
    prevalence: float | Float[Array, ""],
    shifts: Sequence[Shift] = (),
) -> Subjects:
    """Members of a virtual cohort, addressed by index; nothing is stored.

    Subgroup and label each compare one uniform of the subject's own key with a probability, so raising a share moves
    subjects into that subgroup only and leaves everything else about them as it was.

    Args:
        key: of the cohort.
        indices: which members.
        shares: P(subgroup), in the order of the generator's subgroups.
        prevalence: P(disease | subgroup).
        shifts: of every subgroup, from :func:`biasprop.population.shifts.in_order`.
    """
    edges = jnp.cumsum(jnp.stack([jnp.asarray(share, jnp.float32) for share in shares.values()]))[:-1]

    def member(subject: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        chances = jax.vmap(jax.random.uniform)(at_each(subject, jnp.array([Subject.SUBGROUP, Subject.LABEL])))
        subgroup = jnp.sum(chances[0] >= edges)
        own = (
            shifted_prevalence(prevalence, jnp.exp(_shift_values(shifts, "prevalence")[subgroup]))
            if shifts
            else prevalence
        )
        label = chances[1] < own
        return subgroup.astype(jnp.int32), label.astype(jnp.int32)

    subject_keys = at_each(key, indices)
    subgroup, label = jax.vmap(member)(subject_keys)
    return jax.vmap(lambda key, a, y: apply_shifts(key, a, y, shifts))(subject_keys, subgroup, label)


def apply_shifts(
    key: Key[Array, ""], subgroup: Int[Array, ""], label: Int[Array, ""], shifts: Sequence[Shift] = ()
) -> Subjects:
    """A subject as its stage meets it: how far the disease has come, with which noise, and whether beside a marker.

    The marker compares one uniform of the subject's own key with its chance, so raising a chance only adds markers. All
    of it goes with the subgroup: a twin has what its subgroup brings.

    Args:
        key, subgroup, label: of one subject.
        shifts: of every subgroup, from :func:`biasprop.population.shifts.in_order`.
    """
    if not shifts:
        return Subjects(key, subgroup, label)
    chance = jnp.where(label == 1, _shift_values(shifts, "marker_diseased"), _shift_values(shifts, "marker_healthy"))[
        subgroup
    ]
    return Subjects(
        key,
        subgroup,
        label,
        _shift_values(shifts, "presentation")[subgroup],
        jnp.exp(_shift_values(shifts, "acquisition")[subgroup]),
        (jax.random.uniform(at(key, Subject.MARKER)) < chance).astype(jnp.int32),
    )


def recorded_labels(subgroup: np.ndarray, label: np.ndarray, shifts: Sequence[Shift]) -> np.ndarray:
    """What is on record as the label of everyone on a list, in nearly exact counts in every prefix.

    Raising an error rate spoils more labels and mends none; the same places are spoilt in every cell and draw, whose
    subjects differ.

    Args:
        subgroup: [..., n] index.
        label: [..., n] truth.
        shifts: of every subgroup, from :func:`biasprop.population.shifts.in_order`.
    """
    told = label.copy()
    for g, shift in enumerate(shifts):
        for truth, rate in ((0, shift.false_alarm), (1, shift.missed)):
            those = np.flatnonzero((subgroup == g) & (label == truth))
            told[those[_evenly_spread(len(those), SPREAD_STEP["annotation"]) < float(rate)]] = 1 - truth
    return told


def test_labels(label: np.ndarray, shifts: Sequence[Shift]) -> np.ndarray:
    """What the twins of test subjects are judged against, -1 for one who is not counted: [subgroup, subject].

    Disease belongs to the subject, so it is the same for all twins; a prevalence that differs between subgroups counts
    only some of the healthy, or of the diseased, of a subgroup (P(image | disease) stays what it was). The label is the
    recorded one.

    Args:
        label: [subject] truth.
        shifts: of every subgroup, from :func:`biasprop.population.shifts.in_order`; not empty.
    """
    told = np.stack([recorded_labels(np.full_like(label, g), label, shifts) for g in range(len(shifts))])
    for g, shift in enumerate(shifts):
        odds = math.exp(shift.prevalence)
        for truth, kept in ((0, 1 / odds), (1, odds)):
            those = np.flatnonzero(label == truth)
            told[g, those[_evenly_spread(len(those), SPREAD_STEP["inclusion"]) >= kept]] = -1
    return told


def _shift_values(shifts: Sequence[Shift], name: str) -> Float[Array, " g"]:
    return jnp.stack([jnp.asarray(getattr(shift, name), jnp.float32) for shift in shifts])


def _evenly_spread(n: int, step: float) -> np.ndarray:
    """``n`` numbers in [0, 1), evenly spread in every prefix: the multiples of an irrational number, modulo 1.

    Of the first n about n p lie below p, to within a few (Kuipers and Niederreiter 1974, ch. 2.3).
    """
    return np.arange(1, n + 1) * step % 1.0


def exact_counts(
    shares: dict[str, float], prevalence: float, n: int, shifts: Sequence[Shift] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Subgroups and labels of a list whose every prefix has the stated counts to within one subject.

    Each next subject goes to the subgroup and label that lag furthest behind their expected count (ties to the first),
    so smaller budgets are nested in larger ones.

    Args:
        shares: P(subgroup).
        prevalence: P(disease | subgroup).
        n: length of the list.
        shifts: of every subgroup, from :func:`biasprop.population.shifts.in_order`.

    Returns:
        Two int32 arrays of length ``n``, not to be written to: index into ``shares`` and label.
    """
    own = [shifted_prevalence(prevalence, math.exp(shift.prevalence)) for shift in shifts] or [prevalence] * len(shares)
    return _listed_counts(tuple((share * (1 - p), share * p) for share, p in zip(shares.values(), own, strict=True)), n)


@functools.lru_cache(maxsize=64)  # a list of 10,000 takes a second, and every cell of a study has the same ones
def _listed_counts(targets: tuple[tuple[float, float], ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    target = np.array(targets)
    subgroup_target = target.sum(axis=1)
    label_target = target.sum(axis=0)
    count = np.zeros_like(target)
    subgroups, labels = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for i in range(n):
        behind = (i + 1) * target - count
        # The margins lag too; they decide between equally late cells, so that 50 of 4 cells are 25 and 25 both ways.
        behind += 1e-3 * (((i + 1) * subgroup_target - count.sum(axis=1))[:, None])
        behind += 1e-3 * ((i + 1) * label_target - count.sum(axis=0))
        behind[target == 0] = -np.inf
        cell = np.unravel_index(np.argmax(np.round(behind, 9)), target.shape)
        count[cell] += 1
        subgroups[i], labels[i] = cell
    subgroups.flags.writeable = labels.flags.writeable = False
    return subgroups, labels
