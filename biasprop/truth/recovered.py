"""Recover the linear models behind a store's scores, and render their pretraining cohorts; nothing is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Array

    from biasprop.interfaces import Subjects
    from biasprop.statistics.estimand import Level
    from biasprop.study.conditions import PretrainingCondition
    from biasprop.study.study import Study

RENDER_CHUNK = 500
"""Images rendered per call."""


def cohort_images(condition: PretrainingCondition, seed: int, replicate: int) -> NDArray[np.float64]:
    """Images of a whole pretraining cohort: [subject, pixel]."""
    from biasprop.hardware import device

    with device.computing():
        return _cohort_images(condition, seed, replicate)


def _cohort_images(condition: PretrainingCondition, seed: int, replicate: int) -> NDArray[np.float64]:
    from biasprop import keys
    from biasprop.observers import calibration_cache
    from biasprop.training import pretraining_task

    condition = calibration_cache.with_calibration(condition)
    key, size = keys.replicate(seed, replicate), int(condition.pretraining.cohort)
    render = _renderer(pretraining_task.cohort_members)
    chunks = [
        np.asarray(render(condition, key, np.arange(first, first + RENDER_CHUNK)))
        for first in range(0, size, RENDER_CHUNK)
    ]
    return np.concatenate(chunks)[:size].reshape(size, -1).astype(np.float64)


@functools.cache
def _renderer(members: Callable[..., Subjects]) -> Callable[..., Array]:
    """A compiled renderer of cohort members; one program for all mixes and replicates, because levers are traced."""
    import jax

    return jax.jit(lambda condition, *rows: jax.vmap(condition.generator.render)(members(condition, *rows)))


def test_images(study: Study, replicate: int) -> NDArray[np.float64]:
    """The test twins of a replicate: [subgroup, subject, pixel]."""
    from biasprop.hardware import device

    with device.computing():
        return _test_images(study, replicate)


def _test_images(study: Study, replicate: int) -> NDArray[np.float64]:
    from biasprop import keys
    from biasprop.observers import calibration_cache
    from biasprop.population import rosters
    from biasprop.training import rendering
    from biasprop.training.batching import one_cell

    batch = one_cell(
        calibration_cache.with_calibration(study.pretraining_condition()), keys.replicate(study.seed, replicate)
    )
    sets_of_subjects = rosters.rosters(study.finetuning, study.evaluation, list(study.subgroups), 4)
    sets = rendering.render_sets(batch, sets_of_subjects)
    twins = [np.concatenate([np.asarray(chunk["image"])[0] for chunk in chunks]) for chunks in sets.test]
    size = study.evaluation.test
    return np.stack([images[:size].reshape(size, -1) for images in twins]).astype(np.float64)


def directions(scores: NDArray, images: NDArray) -> tuple[NDArray[np.float64], float]:
    """Fit the linear maps from images to scores, by least squares.

    Args:
        scores: [model, subgroup, subject], as stored.
        images: [subgroup, subject, pixel]; more subjects than pixels.

    Returns:
        Directions [model, pixel], and the largest absolute error of the fitted scores, which is rounding error if the
        models are linear and the images are those that were scored.
    """
    pixels = images.reshape(-1, images.shape[-1])
    inputs = np.column_stack([pixels, np.ones(len(pixels))])
    targets = scores.reshape(len(scores), -1).T.astype(np.float64)
    solved = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    return np.asarray(solved[:-1].T, np.float64), float(np.abs(inputs @ solved - targets).max())


def span(models: NDArray, k: int) -> NDArray[np.float64]:
    """Orthonormal basis [pixel, k] of the features used by k or more linear models [model, pixel]."""
    return np.linalg.svd(models, full_matrices=False)[2][:k].T


def models(cube: xr.Dataset, study: Study, replicate: int) -> tuple[dict[Level, NDArray[np.float64]], float]:
    """All linear models of a replicate: level of the pretraining factor -> [model, pixel], and the largest error.

    Args:
        cube: from ``biasprop.open_cube``, with all arms finished.
        study: study of the cube; its first factor is the pretraining mix.
        replicate: index of the replicate.
    """
    first = next(iter(study.factors))
    levels = cube[first].values.tolist()
    finite = []
    for level in levels:
        scores = cube["score"].sel({first: level}).isel(replicate=replicate)
        scores = scores.transpose(..., "subgroup", "subject").values
        flat = scores.reshape(-1, *scores.shape[-2:])
        finite.append(flat[np.isfinite(flat).all(axis=(1, 2))])
    fitted, largest_error = directions(
        np.concatenate(finite), test_images(study, replicate)
    )  # one factorisation for all
    ends = np.cumsum([len(scores) for scores in finite])[:-1]
    return dict(zip(levels, np.split(fitted, ends), strict=True)), largest_error
