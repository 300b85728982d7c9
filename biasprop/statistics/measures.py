"""Measures: one value per arm, replicate, draw and subgroup from stored scores. Only ``per_replicate`` averages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.metrics import METRICS, SCALES, Metric, auc, operating_threshold
from biasprop.statistics.groups import has_twins, with_groups
from biasprop.statistics.ideal import ideal_z
from biasprop.status import Status

ROWS = 64
"""Draws of arms reduced at a time: about 2 MB of scores, which stays in the processor's cache."""


def measure(cube: xr.Dataset, target_specificity: float, threshold_probability: float = 0.5) -> xr.Dataset:
    """Reduce a cube's scores to measures: all of ``METRICS``, and some that are made of them.

    Scores are log-odds, so calibration uses the probability expit(score). One threshold serves all subgroups of an arm
    and draw; it is set on the calibration set alone. Measures called ``own_`` are a sensitivity analysis: they use a
    threshold per subgroup, set on the calibration subjects of that subgroup.

    Args:
        cube: as ``biasprop.open_cube`` gives it; only draws of status 1 are read.
        target_specificity: in (0, 1], pooled over the calibration set.
        threshold_probability: in (0, 1), of decisions whose net benefit is measured.

    Returns:
        Groups of subgroups are further entries of the dim subgroup, see :mod:`.groups`.
        Per (factors, replicate, draw, subgroup): every metric of a subgroup, such as auc; on its link, such as z (with
        auc_moved, 0 or 1); at the subgroup's own_threshold, such as own_sensitivity; train_auc (of the labelled
        subjects themselves) and optimism (train_auc - auc). Per (factors, replicate, draw): threshold, every metric of
        twins, such as flip_rate, and of every metric with a direction the worst subgroup, such as worst_auc;
        validation_auc and calibration_auc, of the validation and the calibration subjects of all subgroups together;
        status.
        Per (factors, replicate): separability. Per (factors, replicate, subgroup): pretext_loss. NaN (counts: 0) where
        a draw is missing. Per (factors, subgroup): ideal_z, see :func:`biasprop.statistics.ideal.ideal_z`. attrs:
        target_specificity, threshold_probability.
    """
    measures = with_groups(cube, lambda part: _measure(part, target_specificity, threshold_probability))
    ideal = ideal_z(cube).reindex({"subgroup": measures["subgroup"]})  # of a group it is not known
    return measures.assign(ideal_z=ideal.reset_coords(drop=True))


def _measure(cube: xr.Dataset, target_specificity: float, threshold_probability: float) -> xr.Dataset:
    """Return the measures of a cube's subgroups; see :func:`measure`."""
    status = cube["status"].values
    ok = np.nonzero(status == Status.OK)
    per_subgroup, per_draw = _of_draws(cube, ok, target_specificity, threshold_probability)

    draws, dims = status.shape, cube["status"].dims
    variables: dict[str, tuple] = {"status": (dims, status)}
    for name, values in per_subgroup.items():
        variables[name] = ((*dims, "subgroup"), _placed(values, ok, (*draws, cube.sizes["subgroup"])))
    for name, values in per_draw.items():
        variables[name] = (dims, _placed(values, ok, draws))
    separability = _separability(cube["separability_score"].values.reshape(-1, *cube["separability_score"].shape[-2:]))
    done = (status == Status.OK).any(axis=-1)
    per_encoder = (*dims[:-1], "subgroup")
    variables["pretext_loss"] = (per_encoder, cube["pretext_loss"].transpose(*per_encoder).values)
    variables["separability"] = (dims[:-1], np.where(done, separability.reshape(draws[:-1]), np.nan))

    coords = {name: coord for name, coord in cube.coords.items() if set(coord.dims) <= {*dims, "subgroup"}}
    stated = {"target_specificity": target_specificity, "threshold_probability": threshold_probability}
    return xr.Dataset(variables, coords, stated)


def _of_draws(
    cube: xr.Dataset, ok: tuple[NDArray, ...], target_specificity: float, threshold_probability: float
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Return the measures of every draw that is OK: name -> [row, subgroup], and name -> [row]."""
    arm = ok[:-1]
    scores = cube["score"].values[ok]  # [row, subgroup, subject]
    calibration_scores = cube["calibration_score"].values[ok]
    calibration_labels = cube["calibration_label"].values[arm]
    threshold = _rows(
        lambda s, y: operating_threshold(s, y, target_specificity), calibration_scores, calibration_labels
    )
    own = _own_thresholds(cube, calibration_scores, calibration_labels, arm, target_specificity)
    weight = cube["weight"].values if "weight" in cube.coords else None  # of a group's twins, see with_groups
    needs = {
        "labels": evaluation_labels(cube)[arm],
        "threshold": threshold[:, None],
        "threshold_probability": np.full((len(scores), 1), threshold_probability),
    }
    per_subgroup: dict[str, NDArray] = {"own_threshold": own}
    per_draw: dict[str, NDArray] = {
        "threshold": threshold,
        "validation_auc": _rows(auc, cube["selection_score"].values[ok], cube["selection_label"].values[arm]),
        "calibration_auc": _rows(auc, calibration_scores, calibration_labels),
    }
    for name, metric in METRICS.items():
        if metric.twins:
            values = _rows(metric.function, scores, *(needs[need][:, 0] for need in metric.needs))
            per_draw[name] = values if has_twins(cube) else np.full_like(values, np.nan)
            continue
        weighted = partial(metric.function, weight=weight)
        per_subgroup[name] = _rows(weighted, scores, *(needs[need] for need in metric.needs))
        if "threshold" in metric.needs:
            at_own = needs | {"threshold": own}
            per_subgroup[f"own_{name}"] = _rows(weighted, scores, *(at_own[need] for need in metric.needs))
    for name, link in ((name, metric.link) for name, metric in METRICS.items() if metric.link):
        linked, moved = link.apply(per_subgroup[name], per_subgroup["n"], per_subgroup["n_positive"])
        per_subgroup |= {link.name: linked, f"{name}_moved": moved.astype(np.int64)}
    for worst, name in worst_measures(METRICS).items():
        # The worst of a set with an undefined member is undefined: a subgroup without cases may well be the worst one.
        direction = METRICS[name].direction
        per_draw[worst] = direction * (direction * per_subgroup[name]).min(axis=-1)
    per_subgroup["train_auc"] = cube["train_auc"].values[ok].astype(np.float64)
    per_subgroup["optimism"] = per_subgroup["train_auc"] - per_subgroup["auc"]
    return per_subgroup, per_draw


def worst_measures(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Return the measures that are the worst subgroup's value of a metric with a direction: measure -> metric."""
    return {f"worst_{name}": name for name, metric in metrics.items() if metric.direction and not metric.twins}


def per_replicate(measures: xr.Dataset, name: str) -> xr.DataArray:
    """Average a measure over the draws of a replicate.

    A replicate is NaN if any of its planned draws is open, diverged, failed or undefined, because an average over the
    other draws would hide that.

    Args:
        measures: from :func:`measure`.
        name: a variable with the dim ``draw``, or a scale that is computed from one.

    Returns:
        The variable without ``draw``; draws that were never planned are left out of the average.
    """
    status = measures["status"]
    whole = status.isin([Status.OK, Status.NOT_PLANNED]).all("draw") & (status == Status.OK).any("draw")
    values = _on_scale(measures, name).where(
        status == Status.OK, 0.0
    )  # NaN of a planned draw stays and makes the replicate NaN
    return (values.sum("draw", skipna=False) / (status == Status.OK).sum("draw")).where(whole)


def _on_scale(measures: xr.Dataset, name: str) -> xr.DataArray:
    """Return a variable, or what a derived scale makes of one."""
    derived = SCALES[name].derived if name in SCALES else None
    if derived is None:
        return measures[name]
    references = (measures[reference] for reference in derived.references)
    values = xr.apply_ufunc(derived.apply, measures[derived.of], *references)
    return values.transpose(*measures[derived.of].dims)


def evaluation_labels(cube: xr.Dataset) -> NDArray:
    """Return the labels that twins' scores are compared with: [factors, replicate, 1 or subgroup, subject].

    The coord ``judged_label`` where there is one (-1 is not counted, NaN is the true label), else the true label.
    """
    truth = cube["label"].values[..., None, :]
    if "judged_label" not in cube.coords:
        return truth
    arms = cube["separability_score"]
    shifted = cube["judged_label"].broadcast_like(arms).transpose(*arms.dims)
    return np.where(np.isnan(shifted.values), truth, shifted.values)


def _own_thresholds(
    cube: xr.Dataset, scores: NDArray, labels: NDArray, arm: tuple[NDArray, ...], target_specificity: float
) -> NDArray[np.float64]:
    """Return the threshold at which each subgroup's calibration subjects reach the specificity: [row, subgroup]."""
    subgroup = cube["calibration_subgroup"].values[arm]
    own = [
        _rows(lambda s, y, w: operating_threshold(s, y, target_specificity, w), scores, labels, subgroup == g)
        for g in range(cube.sizes["subgroup"])
    ]
    return np.stack(own, axis=-1)


def _rows(metric: Callable[..., NDArray], *arguments: NDArray) -> NDArray:
    """Apply a metric to blocks of rows and concatenate the results along the first axis."""
    if not len(arguments[0]):
        return metric(*arguments)
    blocks = range(0, len(arguments[0]), ROWS)
    return np.concatenate([metric(*(a[i : i + ROWS] for a in arguments)) for i in blocks])


def _placed(values: NDArray, where: tuple[NDArray, ...], shape: tuple[int, ...]) -> NDArray:
    """Put rows back into the grid of arms; counts are 0 and everything else NaN where there is no row."""
    grid = np.zeros(shape, values.dtype) if values.dtype.kind == "i" else np.full(shape, np.nan)
    grid[where] = values
    return grid


def _separability(scores: NDArray) -> NDArray[np.float64]:
    """Return the AUC of the subgroup probe on the twins of two subgroups: [arm, 2, subject] -> [arm].

    Entry k has the log-odds, of a twin rendered as subgroup k, of being the last subgroup rather than the first. The
    probe separates the two subgroups. With more, entries are placements, and the measure is their mean: the AUC of the
    probes of one subgroup against the rest, averaged over subgroups.
    """
    if scores.shape[1] != 2:
        return scores.mean(axis=(1, 2), dtype=np.float64) if scores.shape[1] > 2 else np.full(len(scores), np.nan)
    labels = np.broadcast_to(np.repeat([0, 1], scores.shape[2]), (len(scores), 2 * scores.shape[2]))
    return _rows(auc, scores.reshape(len(scores), -1), labels)
