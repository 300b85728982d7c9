"""Observers that need no training by gradients: what can be known of the ideal observer of a generator, in seconds.

Exact where the generator declares the law of its pixels; otherwise a bracket. From above bounds an observer who is told
the latents through which alone the label acts, from below any rule that reads pixels and is judged on subjects it was
not made from: Fisher's discriminant of a few channels. Subjects are twins of label and subgroup, so that every contrast
is within a subject. All observers know which subgroup they look at.
"""

from __future__ import annotations

import enum
import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from biasprop.statistics.areas import paired_areas
from biasprop.statistics.difficulty import Ledger, estimated, known, normal_distance, separated, z_of

if TYPE_CHECKING:
    from jaxtyping import Array, Key

    from biasprop.study.conditions import PretrainingCondition

CHANNELS = 48
"""Fewest channels of the linear observer: the lowest frequencies of every colour's cosine transform."""
BANDS = 8
"""Frequency bands, one cycle a view wide."""
A_CHANNEL = 20
"""Subjects of each class that a rule is made from, for each number it reads: fewer cost the rule some of its area."""
TEST = 2_000
"""Subjects that judge a rule; each is imaged with and without the disease in every subgroup."""
RIDGE = 1e-3
"""Added to the variances of standardised channels, some of which are nearly constant."""
SEED = 20_260
"""Of everything the ledger draws: it belongs to a generator and to no study or replicate."""


class Purpose(enum.IntEnum):
    """Frozen integers below the ledger's key: whose subjects."""

    RULE = 0
    TEST = 1
    INIT = 2
    LEARN = 3


def ledger_key(purpose: int) -> Key[Array, ""]:
    """The key of one purpose: the stream of truths of replicate 0 of a seed of the ledger's own."""
    from biasprop import keys

    return keys.at(keys.stream(keys.replicate(SEED, 0), keys.Stream.TRUTH), purpose)


def observed(condition: PretrainingCondition) -> Ledger:
    """Every row that a generator has in seconds.

    Args:
        condition: its generator is looked at, nothing else.
    """
    from biasprop.difficulty import calibration_cache

    condition = calibration_cache.with_calibration(condition)
    generator = condition.generator
    subgroups = list(generator.subgroups)
    found = exact(generator) if hasattr(generator, "ideal_auc") else Ledger((), ())
    if hasattr(generator, "informed_auc"):
        bound = {name: generator.informed_auc(name) for name in subgroups}
        found += known("told the latents the label acts through", "upper", bound)
    return found + channelled(condition, subgroups)


def modelled(condition: PretrainingCondition) -> Ledger:
    """The ideal observer of a linear model of the image, for a generator that has one; half a minute at most.

    Args:
        condition: its generator is looked at, nothing else.
    """
    from biasprop.difficulty import calibration_cache

    generator = calibration_cache.with_calibration(condition).generator
    if not hasattr(generator, "linear_auc"):
        return Ledger((), ())
    areas = {name: generator.linear_auc(name) for name in generator.subgroups}
    return known("ideal observer of a linear model", "model", areas)


def exact(generator: Any) -> Ledger:
    """The ideal observer of a known signal in Gaussian images: its log-likelihood ratio is normal under both labels.

    Given the label it has mean -d'^2 / 2 or d'^2 / 2 and variance d'^2, and AUC = Phi(d' / sqrt 2) (Barrett and Myers
    2004, ch. 13), so its Kolmogorov-Smirnov distance between subgroups is one of two normal laws, the same under both
    labels.

    Args:
        generator: whose ``ideal_auc`` gives the AUC of a subgroup.
    """
    areas = {name: generator.ideal_auc(name) for name in generator.subgroups}
    d = {name: z_of(area) for name, area in areas.items()}
    distance = {
        (a, b): normal_distance((d[a] ** 2 / 2, d[a]), (d[b] ** 2 / 2, d[b])) for a, b in itertools.combinations(d, 2)
    }
    return known("ideal observer", "exact", areas, distance)


class Read(NamedTuple):
    """What the channels say of twins."""

    rule: NDArray[np.float64]
    """[subgroup, label, subject, channel] of those a rule is made from."""
    test: NDArray[np.float64]
    """The same of those who judge it."""


def channelled(condition: PretrainingCondition, subgroups: list[str]) -> Ledger:
    """Bounds from below, and how well the subgroups are told apart, by Fisher's discriminant of channels.

    Two rules: the channelised Hotelling observer, whose channels are linear in the pixels, and the same with the log
    power in bands of frequency, which do not care where a lesion lies. Made to tell subgroups instead of labels, the
    second says how well they are told apart; half of those who judge that have the disease.
    """
    linear, both = widths(condition.generator.shape)
    read = Read(_read(condition, Purpose.RULE, A_CHANNEL * both), _read(condition, Purpose.TEST, TEST))
    found = Ledger((), ())
    for name, count in (("Hotelling observer of channels", linear), ("channels and band powers", both)):
        rules = [fisher(*read.rule[g, :, :, :count]) for g in range(len(subgroups))]
        scores = np.stack([read.test[g, :, :, :count] @ rule for g, rule in enumerate(rules)], axis=1)
        found += estimated(name, "lower", subgroups, paired_areas(*scores), TEST)
    for a, b in itertools.combinations(range(len(subgroups)), 2):
        rule = fisher(*(read.rule[g].reshape(-1, both) for g in (a, b)))
        label = np.arange(TEST) % 2
        scores = [read.test[g, label, np.arange(TEST)] @ rule for g in (a, b)]
        areas = paired_areas(*np.stack(scores)[:, None])
        found += separated("channels and band powers", (subgroups[a], subgroups[b]), areas, TEST)
    return found


def widths(shape: tuple[int, int, int]) -> tuple[int, int]:
    """How many linear channels images of a shape have, and how many channels and band powers together."""
    size, _, colours = shape
    side = min(math.ceil(math.sqrt(CHANNELS / colours)), size)
    return side**2 * colours, (side**2 + min(BANDS, size // 2)) * colours


def channels(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the observers read of images [n, h, w, c]: [n, channels], linear ones first (:func:`widths`)."""
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


def twins(condition: PretrainingCondition, purpose: int, n: int) -> Any:
    """Images of n subjects, a chunk at a time: yields (subgroup, label, place of the chunk's rows, images)."""
    import jax.numpy as jnp

    from biasprop import keys
    from biasprop.population import rosters
    from biasprop.training import rendering
    from biasprop.training.batching import one_cell

    key, generator = ledger_key(purpose), condition.generator
    batch = one_cell(condition, key)
    for chunk in range(math.ceil(n / rendering.CHUNK)):
        place = slice(chunk * rendering.CHUNK, min((chunk + 1) * rendering.CHUNK, n))
        own = keys.at(key, chunk)[None]
        for g, label in itertools.product(range(len(generator.subgroups)), (0, 1)):
            same = jnp.ones(rendering.CHUNK, jnp.int32)
            roster = rosters.Roster(np.asarray(g * same), np.asarray(label * same), np.asarray(label * same))
            images = rendering.rendered(batch, own, roster)[0][0]
            yield g, label, place, np.asarray(images)[: place.stop - place.start]


def _read(condition: PretrainingCondition, purpose: int, n: int) -> NDArray[np.float64]:
    count = widths(condition.generator.shape)[1]
    read = np.empty((len(condition.generator.subgroups), 2, n, count))
    for g, label, place, images in twins(condition, purpose, n):
        read[g, label, place] = channels(images)
    return read
