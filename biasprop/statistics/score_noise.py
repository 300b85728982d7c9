"""Noise of known size on scores: its unit, and the AUC that it must leave, given the scores without it.

With normal noise of sd ``sigma`` on every score, a diseased subject of score s+ is still ranked above a healthy one of
score s- with probability ``Phi((s+ - s-) / (sigma sqrt 2))``, and the expected AUC is the mean over all pairs. It is
exact, whatever the scores: a known answer for a skew that was injected on purpose.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from biasprop.metrics import auc, z_of_auc
from biasprop.statistics.measures import evaluation_labels, measure


def within_class_sd(scores: ArrayLike, label: ArrayLike) -> NDArray[np.float64]:
    """The unit of score noise: sd of scores within a class, the root of the mean variance of the two.

    Args:
        scores: [..., subject].
        label: [subject] true label, with both classes.

    Returns:
        [...]
    """
    values, diseased = np.asarray(scores, np.float64), np.asarray(label) == 1
    return np.sqrt((values[..., diseased].var(axis=-1) + values[..., ~diseased].var(axis=-1)) / 2)


def expected_auc(scores: ArrayLike, labels: ArrayLike, sd: float) -> float:
    """AUC expected after normal noise on every score, over the noise alone.

    Args:
        scores: [subject], without noise.
        labels: [subject] 0 or 1; subjects with another label are left out.
        sd: of the noise, >= 0, in the units of the scores.
    """
    values, given = np.asarray(scores, np.float64), np.asarray(labels)
    if sd == 0.0:
        return float(auc(values, given))
    healthy = values[given == 0]
    return float(np.mean([ndtr((score - healthy) / (sd * np.sqrt(2))).mean() for score in values[given == 1]]))


def expected(cube: xr.Dataset) -> xr.Dataset:
    """What a cube's measures must be on average over score noise, given the scores of the arms without it.

    Args:
        cube: as ``biasprop.open_cube`` gives it, of a study in which levels of one factor have score noise; it then has
            the coords ``score_noise`` and ``noiseless``.

    Returns:
        ``auc``, ``z`` and ``status`` of every arm, as :func:`biasprop.statistics.measures.measure` gives them for
        subgroups (not for groups of them), input of :func:`biasprop.statistics.estimate.estimates`. Arms without noise
        have their own values. In an arm with noise the AUC is the exact expectation given the arm at the level
        ``noiseless``, NaN where one of the two is missing; its z is of that AUC, which leaves out the mean effect of a
        finite test set on z (below .001 at 1,000 subjects of each class).

    Raises:
        ValueError: no factor has levels with and without score noise.
    """
    if "noiseless" not in cube.coords:
        raise ValueError("no factor of the cube has levels with score noise beside one without")
    (factor,) = (str(dim) for dim in cube["noiseless"].dims)
    measures = measure(cube.drop_attrs(deep=False), 0.5)[["auc", "n", "n_positive", "status"]]
    area = measures["auc"].transpose(factor, ..., "replicate", "draw", "subgroup")
    score = cube["score"].transpose(factor, ..., "replicate", "draw", "subgroup", "subject")
    truth = cube["label"].transpose(factor, ..., "replicate", "subject").values
    judged = evaluation_labels(cube)
    arms = [dim for dim in cube["separability_score"].dims if dim not in ("subgroup", "subject")]
    judged = np.moveaxis(np.broadcast_to(judged, (*judged.shape[:-2], *score.shape[-2:])), arms.index(factor), 0)
    found, levels = area.values.copy(), cube[factor].values.tolist()
    noise = cube["score_noise"].transpose(factor, "subgroup").values
    for k, twin in enumerate(cube["noiseless"].values.tolist()):
        for g in np.flatnonzero(noise[k] > 0):
            without = levels.index(twin) if twin in levels else None
            for at in np.ndindex(found.shape[1:-1]):
                where = (*at, g)
                if without is None or np.isnan(area.values[(k, *where)]) or np.isnan(area.values[(without, *where)]):
                    found[(k, *where)] = np.nan
                    continue
                scores = score.values[(without, *where)]
                sd = noise[k, g] * within_class_sd(scores, truth[(without, *at[:-1])])
                found[(k, *where)] = expected_auc(scores, judged[(without, *at[:-1], g)], sd)
    auc_expected = area.copy(data=found).transpose(*measures["auc"].dims)
    z, _ = z_of_auc(auc_expected.values, measures["n"].values, measures["n_positive"].values)
    return measures.assign(auc=auc_expected, z=(auc_expected.dims, z))
