"""Observers without gradient training: the ideal observer of a generator, exactly or between bounds, in seconds.

It is exact if the generator satisfies :class:`biasprop.interfaces.HasIdealObserver`. Otherwise the upper bound is an
observer who knows the latents through which alone the label acts, and the lower bound is a rule on pixels, evaluated on
held-out subjects: Fisher's discriminant of a few channels. Subjects are twins in label and subgroup, so that every
contrast is within a subject. All observers know the subgroup.
"""

from __future__ import annotations

import enum
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from biasprop.interfaces import HasIdealObserver, HasInformedObserver, HasLinearObserver
from biasprop.statistics.areas import paired_areas
from biasprop.statistics.difficulty import Ledger, estimated, known, normal_distance, separated, z_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Array, Key

    from biasprop.difficulty import InMode
    from biasprop.interfaces import Spec
    from biasprop.study.conditions import PretrainingCondition

MIN_CHANNELS = 48
"""Least number of channels of the linear observer: the lowest frequencies of each colour's cosine transform."""
BANDS = 8
"""Number of frequency bands, each one cycle per view wide."""
SUBJECTS_PER_CHANNEL = 20
"""Training subjects per class and channel of a rule; fewer lower its AUC."""
TEST_SUBJECTS = 2_000
"""Test subjects of a rule; each is imaged with and without the disease in every subgroup."""
RIDGE = 1e-3
"""Added to the variances of standardised channels, some of which are nearly constant."""
SEED = 20_260
"""Seed of all draws of the ledger, which depend on no study or replicate."""


class Purpose(enum.IntEnum):
    """Frozen integers of the ledger's keys."""

    RULE = 0
    TEST = 1
    INIT = 2
    LEARN = 3


def ledger_key(purpose: int) -> Key[Array, ""]:
    """The key of one purpose: stream ``TRUTH`` of replicate 0 of :data:`SEED`."""
    from biasprop import keys

    return keys.at(keys.stream(keys.replicate(SEED, 0), keys.Stream.TRUTH), purpose)


def observer_rows(condition: PretrainingCondition, disease: int | None = None) -> Ledger:
    """All rows that take seconds: the exact row, the upper bound, lower bounds and separability.

    Args:
        condition: condition with the generator; nothing else of it is used.
        disease: index, among the generator's, of the disease to detect; None for the first.
    """
    from biasprop.observers import calibration_cache

    condition = calibration_cache.with_calibration(condition)
    generator = condition.generator
    subgroups = list(generator.subgroups)
    rows = exact_rows(generator, disease) if isinstance(generator.plain, HasIdealObserver) else Ledger((), ())
    if isinstance(generator.plain, HasInformedObserver):
        bound = {name: generator.informed_auc(generator.representative(name, disease)) for name in subgroups}
        rows += known("knows the latents the label acts through", "upper", bound)
    return rows + channel_rows(condition, subgroups, disease)


def linear_model_rows(condition: PretrainingCondition, disease: int | None = None) -> Ledger:
    """The ideal observer of a linear model of the image, if the generator has one; takes at most half a minute.

    Args:
        condition: condition with the generator; nothing else of it is used.
        disease: as for :func:`observer_rows`.
    """
    from biasprop.observers import calibration_cache

    generator = calibration_cache.with_calibration(condition).generator
    if not isinstance(generator.plain, HasLinearObserver):
        return Ledger((), ())
    areas = {name: generator.linear_auc(generator.representative(name, disease)) for name in generator.subgroups}
    return known("ideal observer of a linear model", "model", areas)


def exact_rows(generator: InMode, disease: int | None = None) -> Ledger:
    """The ideal observer of a known signal in Gaussian images: its log-likelihood ratio is normal under both labels.

    Given the label it has mean -d'^2 / 2 or d'^2 / 2 and variance d'^2, and AUC = Phi(d' / sqrt 2) (Barrett and Myers
    2004, ch. 13), so the Kolmogorov-Smirnov distance between subgroups is that of two normal distributions, the same
    for both labels.

    Args:
        generator: in its difficulty mode; it has an ideal observer in closed form.
        disease: as for :func:`observer_rows`.
    """
    areas = {name: generator.ideal_auc(generator.representative(name, disease)) for name in generator.subgroups}
    d = {name: z_of(area) for name, area in areas.items()}
    distance = {
        (a, b): normal_distance((d[a] ** 2 / 2, d[a]), (d[b] ** 2 / 2, d[b])) for a, b in itertools.combinations(d, 2)
    }
    return known("ideal observer", "exact", areas, distance)


class ChannelReadings(NamedTuple):
    """Channel values of twins: [subgroup, label, subject, channel]."""

    rule: NDArray[np.float64]
    """Of the training subjects of a rule."""
    test: NDArray[np.float64]
    """Of its test subjects."""


def channel_rows(condition: PretrainingCondition, subgroups: list[str], disease: int | None = None) -> Ledger:
    """Lower bounds of the AUC, and the separability of subgroups, by Fisher's discriminant of channels.

    Two rules: the channelised Hotelling observer, whose channels are linear in the pixels, and the same plus the log
    power in frequency bands, which does not depend on the position of a lesion. Trained to separate subgroups instead
    of labels, the second rule gives the separability; half of its test subjects have the disease. Where examples are
    vectors, their values are the channels, and there is one rule.
    """
    linear, both = channel_counts(condition.generator.spec)
    readings = ChannelReadings(
        _channel_readings(condition, Purpose.RULE, SUBJECTS_PER_CHANNEL * both, disease),
        _channel_readings(condition, Purpose.TEST, TEST_SUBJECTS, disease),
    )
    rows = Ledger((), ())
    counts = {"Hotelling observer of channels": linear} | ({"channels and band powers": both} if both > linear else {})
    for name, count in counts.items():
        rules = [fisher(*readings.rule[g, :, :, :count]) for g in range(len(subgroups))]
        scores = np.stack([readings.test[g, :, :, :count] @ rule for g, rule in enumerate(rules)], axis=1)
        rows += estimated(name, "lower", subgroups, paired_areas(*scores), TEST_SUBJECTS)
    for a, b in itertools.combinations(range(len(subgroups)), 2):
        rule = fisher(*(readings.rule[g].reshape(-1, both) for g in (a, b)))
        label = np.arange(TEST_SUBJECTS) % 2
        scores = [readings.test[g, label, np.arange(TEST_SUBJECTS)] @ rule for g in (a, b)]
        areas = paired_areas(*np.stack(scores)[:, None])
        rows += separated(list(counts)[-1], (subgroups[a], subgroups[b]), areas, TEST_SUBJECTS)
    return rows


def channel_counts(spec: Spec) -> tuple[int, int]:
    """Number of linear channels of an example, and number of channels and band powers together."""
    counts = [widths(array.shape) if name == "image" else (array.size, array.size) for name, array in spec.items()]
    return sum(linear for linear, _ in counts), sum(both for _, both in counts)


def widths(shape: tuple[int, ...]) -> tuple[int, int]:
    """Number of linear channels of images of this shape, and number of channels and band powers together."""
    size, _, colours = shape
    side = min(math.ceil(math.sqrt(MIN_CHANNELS / colours)), size)
    return side**2 * colours, (side**2 + min(BANDS, size // 2)) * colours


def channels(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Channels and band powers of images [n, h, w, c]: [n, channels], linear channels first (:func:`widths`)."""
    n, size, _, colours = images.shape
    side = math.isqrt(widths(images.shape[1:])[0] // colours)
    low = np.asarray(fft.dctn(images, axes=(1, 2), norm="ortho"))[:, :side, :side]
    power = np.abs(np.asarray(fft.rfft2(images, axes=(1, 2)))) ** 2
    y, x = fft.fftfreq(size, 1 / size), np.arange(size // 2 + 1)
    band = np.rint(np.hypot(y[:, None], x)).ravel()
    mean = np.stack([(band == k) / (band == k).sum() for k in range(1, min(BANDS, size // 2) + 1)])
    levels = np.log(mean @ power.reshape(n, -1, colours).astype(np.float64) + 1e-9)
    return np.concatenate([low.reshape(n, -1), levels.reshape(n, -1)], axis=1)


def fisher(healthy: NDArray, diseased: NDArray) -> NDArray[np.float64]:
    """Direction [channel] of Fisher's discriminant of two classes [n, channel], with a ridge."""
    covariance = (np.cov(healthy.T) + np.cov(diseased.T)) / 2
    spread = np.sqrt(np.diag(covariance)) + 1e-12
    shape = covariance / np.outer(spread, spread) + RIDGE * np.eye(len(spread))
    return np.linalg.solve(shape, (diseased - healthy).mean(axis=0) / spread) / spread


class Twins(NamedTuple):
    """Examples of a chunk of subjects in one subgroup with one label."""

    subgroup: int
    label: int
    rows: slice
    """The chunk's subjects among all."""
    examples: dict[str, NDArray]
    """Name -> [chunk, ...]."""


def twins(condition: PretrainingCondition, purpose: int, n: int, disease: int | None = None) -> Iterator[Twins]:
    """Examples of n subjects, chunk by chunk, in every subgroup with and without a disease, by default the first."""
    import jax.numpy as jnp

    from biasprop import keys
    from biasprop.population import rosters
    from biasprop.training import rendering
    from biasprop.training.batching import one_cell

    key, generator = ledger_key(purpose), condition.generator
    batch = one_cell(condition, key)
    for chunk in range(math.ceil(n / rendering.CHUNK)):
        rows = slice(chunk * rendering.CHUNK, min((chunk + 1) * rendering.CHUNK, n))
        chunk_key = keys.at(key, chunk)[None]
        for g, label in itertools.product(range(len(generator.subgroups)), (0, 1)):
            ones = jnp.ones(rendering.CHUNK, jnp.int32)
            labels = np.asarray(label * ones)
            roster = rosters.Roster(np.asarray(g * ones), labels, labels, disease=disease)
            chunk_examples = rendering.rendered(batch, chunk_key, roster)[0]
            count = rows.stop - rows.start
            yield Twins(g, label, rows, {name: np.asarray(array)[0, :count] for name, array in chunk_examples.items()})


def _channel_readings(
    condition: PretrainingCondition, purpose: int, n: int, disease: int | None
) -> NDArray[np.float64]:
    count = channel_counts(condition.generator.spec)[1]
    values = np.empty((len(condition.generator.subgroups), 2, n, count))
    for g, label, rows, examples in twins(condition, purpose, n, disease):
        values[g, label, rows] = np.concatenate(
            [channels(array) if name == "image" else array.reshape(len(array), -1) for name, array in examples.items()],
            axis=1,
        )
    return values
