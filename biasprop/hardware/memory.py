"""Peak memory of a cell, estimated from sizes alone: enough to refuse a study that is far too large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from biasprop.interfaces import has_people

Key = tuple[str, ...]
"""A dotted key of a study, as its parts."""

MAX_BYTES = 256e9
"""Maximum estimate for a cell, on any machine; more is taken for a mistake in the study file. Whether a study fits this
machine is checked when a run on CPUs starts."""

IMAGE_CACHE_BYTES = 500_000_000
"""Size of the image cache of a cell: of the images of its pretraining cohort, and later of those of the calibration and
test sets together (a test subject has one image per subgroup). Images that fit are rendered once; otherwise they are
re-rendered whenever they are used. Images of the validation set and of labelled subjects are always kept."""

_FEATURE_BYTES = 8.0
"""Bytes per feature of a scored subject: a float32, and its copy in the array of the whole set."""

_COPIES = 5
"""Copies of every parameter during training: itself, its gradient, two moments of the optimiser, the best so far."""


def cached_members(pretraining: Any, largest: int = 0) -> int:
    """Number of cohort members whose images are cached during pretraining; 0 if they are re-rendered in every step, or
    taken from a table, which the device holds as a whole.

    Args:
        pretraining: a ``PretrainingCondition`` of one cell, or of several where its leaves are arrays.
        largest: size of the study's largest cohort; the cache is made that large if it fits, so that one compiled
            program serves all smaller cohorts as well.
    """
    if has_people(pretraining.generator):  # whose images are on the device already
        return 0
    size, capacity = (
        int(np.max(pretraining.pretraining.cohort)),
        image_cache_capacity(pretraining) // images_per_subject(pretraining),
    )
    return max(size, min(largest, capacity)) if size <= capacity else 0


def images_per_subject(pretraining: Any) -> int:
    """Images of each cohort member that the objective reads: 2 if it reads follow-up images, else 1."""
    return 1 + ("follow_up" in pretraining.pretraining.objective.reads)


def image_cache_capacity(pretraining: Any) -> int:
    """Number of images that fit into :data:`IMAGE_CACHE_BYTES`, as float32.

    Args:
        pretraining: a ``PretrainingCondition`` of one cell or of several, or an object with the same parts.
    """
    return IMAGE_CACHE_BYTES // example_bytes(pretraining.generator)


def example_bytes(generator: Any) -> int:
    """Bytes of one example."""
    return sum(array.nbytes for array in generator.spec.values())


def image_bytes(pretraining: Any, cohort: int, labels: int, evaluation: Any) -> float:
    """Bytes of images and features that a cell needs at its peak.

    Images are those of a training step forward and backward (40 per image of the batch), and either the cached cohort
    or, if that is more, twice the later ones: labelled subjects, validation set, and calibration and test sets if they
    are cached. The factor of two is for what is computed from them. Those of a table are on the device as a whole, at
    most as float32.

    Args:
        pretraining: a ``PretrainingCondition``, or an object with the same parts; has the sizes of images and batches.
        cohort: number of cached images of the cohort, see :func:`cached_members`.
        labels: the largest label budget.
        evaluation: an ``Evaluation``.
    """
    evaluated = evaluation.evaluated_images(len(pretraining.generator.subgroups))
    others = evaluation.selection + (evaluated if evaluated <= image_cache_capacity(pretraining) else 0)
    stages = pretraining.pretraining.sequence() or (pretraining.pretraining,)
    batch = max(stage.schedule.batch for stage in stages)
    images = max(cohort, 2 * (labels + others)) + 40 * batch
    features = pretraining.encoder.features(pretraining.generator.spec)
    if has_people(pretraining.generator):
        images += pretraining.generator.rows
    return float(example_bytes(pretraining.generator)) * images + _FEATURE_BYTES * features * evaluated


def bytes_by_key(pretraining: Any, finetuning: Any) -> dict[Key, float]:
    """Bytes that a cell needs at its peak, by the key of the study that causes them.

    Images that are kept, and features, are attributed to the key that sets their number; a network holds several copies
    of its parameters, and the activations of a batch.

    Args:
        pretraining: a ``PretrainingCondition``, or an object with the same parts.
        finetuning: a ``FinetuningCondition``, or an object with the same parts.
    """
    spec = pretraining.generator.spec
    parameters, activations = pretraining.encoder.counts(spec)
    evaluation, stage = finetuning.evaluation, finetuning.finetuning
    example = 2.0 * example_bytes(pretraining.generator)
    cached = evaluation.evaluated_images(len(pretraining.generator.subgroups)) <= image_cache_capacity(pretraining)
    scored = _FEATURE_BYTES * pretraining.encoder.features(spec) + (example if cached else 0.0)
    batch = max((stage.schedule.batch for stage in pretraining.pretraining.sequence()), default=0)
    if stage.protocol.adapts_encoder:
        batch = max(batch, stage.protocol.recipe(pretraining.pretraining.objective.trains).schedule.batch)
    twins = evaluation.test * len(pretraining.generator.subgroups)
    return {
        ("finetuning", "labels"): example * stage.labels,
        ("evaluation", "test"): (scored + 8.0 * stage.protocol.draws) * twins,
        ("evaluation", "calibration"): (scored + 4.0 * stage.protocol.draws) * evaluation.calibration,
        ("evaluation", "selection"): (example + 4.0 * stage.protocol.draws) * evaluation.selection,
        ("pretraining", "schedule", "batch"): batch * (20 * example + 8.0 * activations),
        ("encoder",): 4.0 * _COPIES * parameters,
    }


def too_large(pretraining: Any, finetuning: Any) -> tuple[Key, str] | None:
    """The key that needs most memory, and why the study is refused; None if it needs at most :data:`MAX_BYTES`."""
    parts = bytes_by_key(pretraining, finetuning)
    total = sum(parts.values())
    if total <= MAX_BYTES:
        return None
    key = max(parts, key=parts.__getitem__)
    need = f"a cell would need about {gigabytes(total)} of memory ({_largest(parts)})"
    return key, f"is too large: {need}; at most {gigabytes(MAX_BYTES)} is allowed"


def gigabytes(amount: float) -> str:
    """Bytes in words, such as ``1.5 GB``."""
    return f"{amount / 1e9:,.0f} GB" if amount >= 1e10 else f"{amount / 1e9:.1f} GB"


def _largest(parts: Mapping[Key, float]) -> str:
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{gigabytes(amount)} for {'.'.join(map(str, key))}" for key, amount in ordered[:2])
