"""The linear models behind a store's scores, and the cohorts their encoders saw; rendered anew, nothing is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.interfaces import Subjects
    from biasprop.study.conditions import PretrainingCondition
    from biasprop.study.study import Study

ROWS = 500
"""Images rendered at once."""


def cohort_images(condition: PretrainingCondition, seed: int, replicate: int) -> NDArray[np.float64]:
    """Every member of a pretraining cohort: [subject, pixel]."""
    from biasprop import keys
    from biasprop.difficulty import calibration_cache
    from biasprop.training import pretraining_task

    condition = calibration_cache.with_calibration(condition)
    key, size = keys.replicate(seed, replicate), int(condition.pretraining.cohort)
    draw = _renderer(pretraining_task.cohort_members)
    chunks = [np.asarray(draw(condition, key, np.arange(first, first + ROWS))) for first in range(0, size, ROWS)]
    return np.concatenate(chunks)[:size].reshape(size, -1).astype(np.float64)


@functools.cache
def _renderer(members: Callable[..., Subjects]) -> Callable[..., Any]:
    """Renders members of a cohort; one program for all mixes and replicates, because levers are traced."""
    import jax

    return jax.jit(lambda condition, *whom: jax.vmap(condition.generator.render)(members(condition, *whom)))


def test_images(study: Study, replicate: int) -> NDArray[np.float64]:
    """The test twins of a replicate: [subgroup, subject, pixel]."""
    from biasprop import keys
    from biasprop.difficulty import calibration_cache
    from biasprop.population import rosters
    from biasprop.training import rendering
    from biasprop.training.batching import one_cell

    batch = one_cell(
        calibration_cache.with_calibration(study.pretraining_condition()), keys.replicate(study.seed, replicate)
    )
    who = rosters.rosters(study.finetuning, study.evaluation, list(study.subgroups), 4)
    sets = rendering.render_sets(batch, who)
    joined = [np.concatenate([np.asarray(chunk)[0] for chunk in chunks]) for chunks in sets.test]
    size = study.evaluation.test
    return np.stack([images[:size].reshape(size, -1) for images in joined]).astype(np.float64)


def directions(scores: NDArray, images: NDArray) -> tuple[NDArray[np.float64], float]:
    """The linear maps that give these scores of these images, by least squares.

    Args:
        scores: [model, subgroup, subject], as stored.
        images: [subgroup, subject, pixel]; more subjects than pixels.

    Returns:
        Directions [model, pixel], and the largest error of a score they give, which is rounding if the models are
        linear and the images theirs.
    """
    pixels = images.reshape(-1, images.shape[-1])
    inputs = np.column_stack([pixels, np.ones(len(pixels))])
    wanted = scores.reshape(len(scores), -1).T.astype(np.float64)
    solved = np.linalg.lstsq(inputs, wanted, rcond=None)[0]
    return np.asarray(solved[:-1].T, np.float64), float(np.abs(inputs @ solved - wanted).max())


def span(models: NDArray, k: int) -> NDArray[np.float64]:
    """Orthonormal basis [pixel, k] of the features that k or more linear models [model, pixel] read."""
    return np.linalg.svd(models, full_matrices=False)[2][:k].T


def models(cube: xr.Dataset, study: Study, replicate: int) -> tuple[dict[Any, NDArray[np.float64]], float]:
    """Every linear model of a replicate: level of the pretraining factor -> [model, pixel], and the largest error.

    Args:
        cube: as ``biasprop.open_cube`` gives it, every arm finished.
        study: that it was made from; its first factor is that of the pretraining mix.
        replicate: which one.
    """
    first = next(iter(study.factors))
    levels = cube[first].values.tolist()
    kept = []
    for level in levels:
        scores = cube["score"].sel({first: level}).isel(replicate=replicate)
        scores = scores.transpose(..., "subgroup", "subject").values
        flat = scores.reshape(-1, *scores.shape[-2:])
        kept.append(flat[np.isfinite(flat).all(axis=(1, 2))])
    found, worst = directions(np.concatenate(kept), test_images(study, replicate))  # one factorisation for all
    ends = np.cumsum([len(scores) for scores in kept])[:-1]
    return dict(zip(levels, np.split(found, ends), strict=True)), worst
