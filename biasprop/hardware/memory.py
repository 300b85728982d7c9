"""What a cell holds at its peak, from sizes alone: enough to refuse what no machine could compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Key = tuple[str, ...]
"""A key of a study, part by part."""

MAX_BYTES = 256e9
"""Bytes a cell may need; no device has more."""

IMAGE_CACHE_BYTES = 500_000_000
"""Bytes of images that a cell keeps of its cohort, and later of those who calibrate and test: fewer are rendered once,
more whenever they are drawn or looked at."""

_FEATURE = 8.0
"""Bytes of a feature of someone who is looked at: itself, and its copy among those of the whole set."""

_COPIES = 5
"""Of every parameter while it is trained: itself, its gradient, two moments, and the best so far."""


def cached_members(pretraining: Any, largest: int = 0) -> int:
    """Members of its cohort of whom a cell keeps what it is shown while it pretrains; 0 where they are rendered as they
    are drawn.

    Args:
        pretraining: a ``PretrainingCondition``, of one cell or, where its leaves are arrays, of several.
        largest: size of the study's largest cohort, for which there is then room, so that one program serves all
            cohorts that are no larger.
    """
    size, most = (
        int(np.max(pretraining.pretraining.cohort)),
        image_cache_capacity(pretraining) // images_per_subject(pretraining),
    )
    return max(size, min(largest, most)) if size <= most else 0


def images_per_subject(pretraining: Any) -> int:
    """Images of a member of the cohort that the objective is shown."""
    return 1 + ("follow_up" in pretraining.pretraining.objective.reads)


def image_cache_capacity(pretraining: Any) -> int:
    """How many images fit on the shelf.

    Args:
        pretraining: a ``PretrainingCondition``, of one cell or of several, or whatever has its parts.
    """
    return IMAGE_CACHE_BYTES // (4 * math.prod(pretraining.generator.shape))


def image_bytes(pretraining: Any, cohort: int, labels: int, evaluation: Any) -> float:
    """Bytes of images: a batch forward and backward, beside the kept cohort or, later, the labelled subjects, everyone
    who selects and what is kept of those who calibrate and test, as much again for what is computed from them, and
    features.

    Args:
        pretraining: a ``PretrainingCondition``, or whatever has its parts: how large an image and a batch are.
        cohort: images that are kept of the cohort, see :func:`cached_members`.
        labels: the largest label budget.
        evaluation: an ``Evaluation``.
    """
    pixels, judges = (
        math.prod(pretraining.generator.shape),
        evaluation.evaluated_images(len(pretraining.generator.subgroups)),
    )
    others = evaluation.selection + (judges if judges <= image_cache_capacity(pretraining) else 0)
    images = max(cohort, 2 * (labels + others)) + 40 * pretraining.pretraining.schedule.batch
    return 4.0 * pixels * images + _FEATURE * pretraining.encoder.features * judges


def bytes_by_key(pretraining: Any, finetuning: Any) -> dict[Key, float]:
    """Bytes that a cell needs at its peak, by the key that asks for them.

    Images that are kept, and features, are shared out by how many each key asks for; a network holds its parameters
    several times and the activations of a batch.

    Args:
        pretraining: a ``PretrainingCondition``, or whatever has its parts.
        finetuning: a ``FinetuningCondition``, or whatever has its parts.
    """
    shape = pretraining.generator.shape
    parameters, activations = pretraining.encoder.counts(shape)
    evaluation, stage = finetuning.evaluation, finetuning.finetuning
    image = 8.0 * math.prod(shape)
    kept = evaluation.evaluated_images(len(pretraining.generator.subgroups)) <= image_cache_capacity(pretraining)
    judged = _FEATURE * pretraining.encoder.features + (image if kept else 0.0)
    batch = pretraining.pretraining.schedule.batch if pretraining.pretraining.objective.trains else 0
    if stage.protocol.adapts_encoder:
        batch = max(batch, stage.protocol.recipe(pretraining.pretraining.objective.trains).schedule.batch)
    twins = evaluation.test * len(pretraining.generator.subgroups)
    return {
        ("finetuning", "labels"): image * stage.labels,
        ("evaluation", "test"): (judged + 8.0 * stage.protocol.draws) * twins,
        ("evaluation", "calibration"): (judged + 4.0 * stage.protocol.draws) * evaluation.calibration,
        ("evaluation", "selection"): (image + 4.0 * stage.protocol.draws) * evaluation.selection,
        ("pretraining", "schedule", "batch"): batch * (20 * image + 8.0 * activations),
        ("encoder",): 4.0 * _COPIES * parameters,
    }


def too_large(pretraining: Any, finetuning: Any) -> tuple[Key, str] | None:
    """The key that asks for most, and why no machine could hold the cell; None where one can."""
    parts = bytes_by_key(pretraining, finetuning)
    total = sum(parts.values())
    if total <= MAX_BYTES:
        return None
    where = max(parts, key=parts.__getitem__)
    split = _split(parts)
    what = f"a cell would need about {gigabytes(total)} of memory ({split}); at most {gigabytes(MAX_BYTES)} is allowed"
    return where, f"is too large: {what}"


def gigabytes(amount: float) -> str:
    """Bytes as a person says them."""
    return f"{amount / 1e9:,.0f} GB" if amount >= 1e10 else f"{amount / 1e9:.1f} GB"


def _split(parts: Mapping[Key, float]) -> str:
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{gigabytes(amount)} for {'.'.join(map(str, key))}" for key, amount in ordered[:2])
