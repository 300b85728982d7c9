"""Draw subjects: subgroup, label and shifted properties of each, given shares, prevalences and shifts."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.interfaces import Subjects
from biasprop.keys import Subject, at, at_each
from biasprop.population import coupling
from biasprop.population.attributes import Attributes
from biasprop.population.shifts import Shift, shifted_prevalence

SEQUENCE_STEP = {"annotation": (5**0.5 - 1) / 2, "inclusion": 2**0.5 - 1}
"""Steps of :func:`_low_discrepancy` by purpose. Together with 1 they are linearly independent over the rationals,
so that label errors and inclusion are independent."""


def cohort(
    key: Key[Array, ""],
    indices: Int[Array, " n"],
    shares: Mapping[str, float | Float[Array, ""]],
    prevalence: float | Float[Array, ""],
    shifts: Sequence[Shift] = (),
    attributes: Attributes | None = None,
) -> Subjects:
    """Members of a virtual cohort by index; nothing is stored.

    The label, and the subgroup where there are two, each come from comparing a uniform random number of the subject
    with a probability, so raising a share only moves subjects into that subgroup and changes nothing else about them.
    For more subgroups see :mod:`.coupling`.

    Args:
        key: key of the cohort.
        indices: indices of the members.
        shares: P(subgroup), in the order of the generator's subgroups.
        prevalence: P(disease | subgroup) before shifts.
        shifts: one per subgroup, from :func:`biasprop.population.shifts.in_order`.
        attributes: of the subgroups, if they have any; the subgroup is then drawn attribute by attribute.
    """
    share = jnp.stack([jnp.asarray(share, jnp.float32) for share in shares.values()])
    edges = jnp.cumsum(share)[:-1]

    def member(subject: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        uniforms = jax.vmap(jax.random.uniform)(at_each(subject, jnp.array([Subject.SUBGROUP, Subject.LABEL])))
        if attributes is not None:
            subgroup = coupling.by_attribute(subject, share, attributes)
        elif len(shares) > 2:
            subgroup = coupling.drawn_level(at(subject, Subject.SUBGROUP), list(shares), share)
        else:
            subgroup = jnp.sum(uniforms[0] >= edges)
        shifted = (
            shifted_prevalence(prevalence, jnp.exp(_shift_values(shifts, "prevalence")[subgroup]))
            if shifts
            else prevalence
        )
        label = uniforms[1] < shifted
        return subgroup.astype(jnp.int32), label.astype(jnp.int32)

    subject_keys = at_each(key, indices)
    subgroup, label = jax.vmap(member)(subject_keys)
    return jax.vmap(lambda key, a, y: apply_shifts(key, a, y, shifts))(subject_keys, subgroup, label)


def prevalences(prevalence: float | Float[Array, ""], shifts: Sequence[Shift], subgroups: int) -> list[Any]:
    """P(disease | subgroup) of every subgroup, shifts included.

    Args:
        prevalence: before shifts.
        shifts: one per subgroup, from :func:`biasprop.population.shifts.in_order`, or none.
        subgroups: number of subgroups.
    """
    odds = [jnp.exp(jnp.asarray(shift.prevalence)) for shift in shifts] or [1.0] * subgroups
    return [shifted_prevalence(prevalence, ratio) for ratio in odds]


def apply_shifts(
    key: Key[Array, ""], subgroup: Int[Array, ""], label: Int[Array, ""], shifts: Sequence[Shift] = ()
) -> Subjects:
    """One subject with the manifestation, acquisition and marker shifts of its subgroup (each twin: those of its own).

    The marker comes from comparing a uniform random number of the subject with its probability, so raising the
    probability only adds markers.

    Args:
        key, subgroup, label: of one subject.
        shifts: one per subgroup, from :func:`biasprop.population.shifts.in_order`.
    """
    if not shifts:
        return Subjects(key, subgroup, label)
    marker_probability = jnp.where(
        label == 1, _shift_values(shifts, "marker_diseased"), _shift_values(shifts, "marker_healthy")
    )[subgroup]
    exposed = any(shift.exposure is not None for shift in shifts)
    return Subjects(
        key,
        subgroup,
        label,
        _shift_values(shifts, "presentation")[subgroup],
        jnp.exp(_shift_values(shifts, "acquisition")[subgroup]),
        (jax.random.uniform(at(key, Subject.MARKER)) < marker_probability).astype(jnp.int32),
        exposure=jnp.exp(_shift_values(shifts, "exposure")[subgroup]) if exposed else None,
    )


def recorded_labels(subgroup: np.ndarray, label: np.ndarray, shifts: Sequence[Shift]) -> np.ndarray:
    """Recorded labels of a list of subjects, with nearly exact error counts in every prefix.

    Raising an error rate adds wrong labels and corrects none. The same positions of the list are wrong in every cell
    and draw; which subjects are at these positions differs between draws.

    Args:
        subgroup: [..., n] index.
        label: [..., n] true label.
        shifts: one per subgroup, from :func:`biasprop.population.shifts.in_order`.
    """
    recorded = label.copy()
    for g, shift in enumerate(shifts):
        for true_label, error_rate in ((0, shift.false_alarm), (1, shift.missed)):
            rows = np.flatnonzero((subgroup == g) & (label == true_label))
            wrong = _low_discrepancy(len(rows), SEQUENCE_STEP["annotation"]) < float(error_rate)
            recorded[rows[wrong]] = 1 - true_label
    return recorded


def test_labels(label: np.ndarray, shifts: Sequence[Shift]) -> np.ndarray:
    """Recorded labels of the test twins, or -1 for a twin that is excluded: [subgroup, subject].

    A test subject has one twin per subgroup. Disease belongs to the subject, so all its twins have the same true label.
    A prevalence shift of a subgroup excludes some of its healthy, or some of its diseased, twins; P(image | disease) is
    unchanged.

    Args:
        label: [subject] true label.
        shifts: one per subgroup, from :func:`biasprop.population.shifts.in_order`; not empty.
    """
    labels = np.stack([recorded_labels(np.full_like(label, g), label, shifts) for g in range(len(shifts))])
    for g, shift in enumerate(shifts):
        odds = math.exp(shift.prevalence)
        for true_label, included in ((0, 1 / odds), (1, odds)):
            rows = np.flatnonzero(label == true_label)
            labels[g, rows[_low_discrepancy(len(rows), SEQUENCE_STEP["inclusion"]) >= included]] = -1
    return labels


def _shift_values(shifts: Sequence[Shift], name: str) -> Float[Array, " g"]:
    values = [getattr(shift, name) for shift in shifts]
    return jnp.stack([jnp.asarray(0.0 if value is None else value, jnp.float32) for value in values])


def _low_discrepancy(n: int, step: float) -> np.ndarray:
    """A low-discrepancy sequence of ``n`` numbers in [0, 1): the multiples of an irrational number, modulo 1.

    Of the first n numbers about n p lie below p, to within a few (Kuipers and Niederreiter 1974, ch. 2.3).
    """
    return np.arange(1, n + 1) * step % 1.0


def exact_counts(
    shares: dict[str, float], prevalence: float, n: int, shifts: Sequence[Shift] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Subgroups and labels of a list in which every prefix has the expected counts to within one subject.

    Each subject in turn gets the subgroup and label whose count is furthest below its expectation (ties go to the
    first), so smaller lists are prefixes of larger ones.

    Args:
        shares: P(subgroup).
        prevalence: P(disease | subgroup) before shifts.
        n: length of the list.
        shifts: one per subgroup, from :func:`biasprop.population.shifts.in_order`.

    Returns:
        Two read-only int32 arrays of length ``n``: index into ``shares``, and label.
    """
    prevalences = [shifted_prevalence(prevalence, math.exp(shift.prevalence)) for shift in shifts]
    pairs = zip(shares.values(), prevalences or [prevalence] * len(shares), strict=True)
    return _exact_counts(tuple((share * (1 - p), share * p) for share, p in pairs), n)


@functools.lru_cache(maxsize=64)  # a list of 10,000 takes a second and is the same in all cells
def _exact_counts(targets: tuple[tuple[float, float], ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    target = np.array(targets)
    subgroup_target = target.sum(axis=1)
    label_target = target.sum(axis=0)
    count = np.zeros_like(target)
    subgroups, labels = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for i in range(n):
        deficit = (i + 1) * target - count
        # The marginal counts break ties, so that 50 subjects in 2 subgroups are 25 and 25 by subgroup and by label.
        deficit += 1e-3 * (((i + 1) * subgroup_target - count.sum(axis=1))[:, None])
        deficit += 1e-3 * ((i + 1) * label_target - count.sum(axis=0))
        deficit[target == 0] = -np.inf
        chosen = np.unravel_index(np.argmax(np.round(deficit, 9)), target.shape)
        count[chosen] += 1
        subgroups[i], labels[i] = chosen
    subgroups.flags.writeable = labels.flags.writeable = False
    return subgroups, labels
