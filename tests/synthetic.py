"""A cube of the documented structure with scores drawn from a binormal model, for tests that need no training.

The effect is known: ``z(AUC_A) - z(AUC_B)`` of an arm has a stated expectation (:func:`true_gap`), so statistics can be
tested against it. No JAX, no store, no generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from biasprop.store.variables import VARIABLES, Variable

FACTORS: dict[str, tuple[str | int | float, ...]] = {
    "pretraining": ("all light", "50/50", "all dark", "scratch"),
    "labels": (50, 200, 1000),
    "protocol": ("linear_probe", "full"),
}
SHARES: dict[str, tuple[float, float]] = {
    "all light": (1.0, 0.0),
    "90/10": (0.9, 0.1),
    "50/50": (0.5, 0.5),
    "10/90": (0.1, 0.9),
    "all dark": (0.0, 1.0),
    "scratch": (np.nan, np.nan),
}
SUBGROUPS = ("light", "dark")
LATENTS = ("ita", "severity")


def true_gap(pretraining: str, labels: float, effect: float = 0.4) -> float:
    """z(AUC_light) - z(AUC_dark) that :func:`synthetic_cube` puts into an arm; shrinks with the label budget.

    Args:
        pretraining: a level of the factor ``pretraining`` (a key of SHARES); scratch and unknown levels have no gap.
        labels: the label budget.
        effect: the gap of a wholly skewed mix at 50 labels.
    """
    share = SHARES.get(pretraining, (np.nan, np.nan))
    skew = 0.0 if np.isnan(share[0]) else share[0] - share[1]
    return float(effect * skew * (50.0 / labels) ** 0.5)


def synthetic_cube(
    factors: Mapping[str, Sequence[str | int | float]] = FACTORS,
    replicates: int = 6,
    draws: int = 2,
    subjects: int = 300,
    seed: int = 0,
    *,
    subgroups: Sequence[str] = SUBGROUPS,
    effect: float = 0.4,
    replicate_sd: float = 0.05,
    selection: int = 60,
    calibration: int = 400,
    diverged: int = 0,
    open_arms: int = 0,
) -> xr.Dataset:
    """Make a cube as ``biasprop.open_cube`` gives it.

    Args:
        factors: name -> levels, in the study's order; ``pretraining`` and ``labels`` carry the effect, others none.
        replicates, draws, subjects: sizes of the dims; where a factor ``protocol`` has a level ``full`` only its first
            draw is planned (the others have status 4).
        seed: everything is a function of it.
        subgroups: names; the gap lies between the first two, further ones behave as the second.
        effect, replicate_sd: gap of a wholly skewed mix at 50 labels; its standard deviation between replicates.
        selection, calibration: sizes of these sets.
        diverged: so many arms (all their draws), from the last replicate of the first arm on, have status 2.
        open_arms: so many arms, counted from the end of the cube, are not there yet (NaN scores, status 0).

    Returns:
        The dataset: score, separability_score, label, latents, selection_*, calibration_*, status, seconds,
        fingerprint, checksum, with named dims and coords.
    """
    # One generator for the whole cube: tests want few lines here, not common random numbers across arms.
    random = np.random.default_rng(seed)
    names = tuple(factors)
    shape = tuple(len(levels) for levels in factors.values())
    count = len(subgroups)
    full = (*shape, replicates)

    gap = np.zeros(shape)
    planned = np.ones((*shape, 1, draws), bool)
    for index in np.ndindex(*shape):
        level: dict[str, Any] = {name: factors[name][i] for name, i in zip(names, index, strict=True)}
        gap[index] = true_gap(str(level.get("pretraining", "50/50")), float(level.get("labels", 50)), effect)
        if level.get("protocol") == "full":
            planned[(*index, 0, slice(1, None))] = False
    half = 0.5 * gap[..., None] + replicate_sd * random.standard_normal(full) * 0.5
    sign = np.array([1.0] + [-1.0] * (count - 1))
    z = 1.4 + half[..., None] * sign  # z(AUC) of unit-variance binormal scores is the distance of the means

    label = np.broadcast_to((np.arange(subjects) % 2).astype("i1"), (*full, subjects)).copy()
    shared = random.standard_normal((replicates, 1, 1, subjects))  # a subject is the same subject in every arm
    noise = random.standard_normal((*full, draws, count, subjects))
    mean = z[..., None, :, None] * (label[..., None, None, :] - 0.5)
    score = (mean + 0.8 * shared + 0.6 * noise).astype("f4")
    score *= z[..., None, :, None].astype("f4")  # the log-odds of the binormal model: calibrated by construction

    def held_out(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y = np.broadcast_to((np.arange(size) % 2).astype("i1"), (*full, size)).copy()
        g = np.broadcast_to(((np.arange(size) // 2) % count).astype("i1"), (*full, size)).copy()
        distance = np.take_along_axis(z, g.astype(int), axis=-1)[..., None, :]
        values = distance * (y[..., None, :] - 0.5) + random.standard_normal((*full, draws, size))
        return (distance * values).astype("f4"), y, g

    selection_score, selection_label, selection_subgroup = held_out(selection)
    calibration_score, calibration_label, calibration_subgroup = held_out(calibration)
    ita = 40.0 - 60.0 * np.arange(count)[:, None] + 8.0 * random.standard_normal((*full, count, subjects))
    severity = np.broadcast_to(shared[:, 0, :1, :], (*full, count, subjects))
    side = np.arange(count)[:, None] / max(count - 1, 1) - 0.5
    separability = (2.0 * side + random.standard_normal((*full, count, subjects))).astype("f4")

    train = (0.9 + 0.1 * random.random((*full, draws, count))).astype("f4")
    status = np.where(np.broadcast_to(planned, (*full, draws)), 1, 4).astype("i1")
    flat = status.reshape(-1, draws)
    for arm in range(diverged):
        flat[replicates - 1 + arm * replicates] = np.where(flat[replicates - 1 + arm * replicates] == 4, 4, 2)
    if open_arms:
        flat[-open_arms:] = 0
    missing = status != 1
    score[missing] = train[missing] = np.nan
    selection_score[missing] = np.nan
    calibration_score[missing] = np.nan
    unwritten = (status == 0).all(-1)
    label[unwritten] = selection_label[unwritten] = calibration_label[unwritten] = -1
    separability[missing.all(-1)] = np.nan

    arm = (*names, "replicate")
    coords: dict[str, Any] = {name: list(levels) for name, levels in factors.items()}
    coords |= {"replicate": np.arange(replicates), "draw": np.arange(draws), "subgroup": list(subgroups)}
    coords |= {"latent": list(LATENTS)}
    if "pretraining" in names:
        levels = [str(level) for level in factors["pretraining"]]
        share = np.full((len(levels), count), np.nan)
        for i, name in enumerate(levels):
            share[i, : min(count, 2)] = SHARES.get(name, (np.nan, np.nan))[: min(count, 2)]
        share[:, 2:] = np.where(np.isnan(share[:, :1]), np.nan, 0.0)
        coords["share"] = (("pretraining", "subgroup"), share)
        objectives = ["scratch" if name == "scratch" else "contrastive" for name in levels]
        coords["objective"] = ("pretraining", objectives)
    key = np.arange(int(np.prod(full)), dtype="u8").reshape(full)
    known = {
        "score": score,
        "separability_score": separability,
        "label": label,
        "latents": np.stack([ita, severity], axis=len(full)),
        "realised_share": np.full((*full, count), 0.5),
        "train_auc": train,
        "selection_score": selection_score,
        "selection_label": selection_label,
        "selection_subgroup": selection_subgroup,
        "calibration_score": calibration_score,
        "calibration_label": calibration_label,
        "calibration_subgroup": calibration_subgroup,
        "selection_latents": np.zeros((*full, 2, selection)),
        "calibration_latents": np.zeros((*full, 2, calibration)),
        "status": status,
        "seconds": np.full(full, 1.5),
        "checksum": key + np.uint64(seed) * np.uint64(1_000_003),
    }
    sizes = {"draw": draws, "subgroup": count, "subject": subjects, "latent": len(LATENTS)}
    sizes |= {"selection": selection, "calibration": calibration}

    def values(name: str, variable: Variable) -> np.ndarray:
        absent = np.full((*full, *variable.shape(sizes)), variable.absent, variable.dtype)
        return known[name].astype(variable.dtype) if name in known else absent

    return xr.Dataset(
        {name: ((*arm, *variable.dims), values(name, variable)) for name, variable in VARIABLES.items()},
        coords=coords,
        attrs={
            "study": 'title = "Synthetic"\n',
            "title": "Synthetic",
            "question": "How much of a known skew is left?",
            "digest": "0123456789abcdef",
            "numerics": 1,
            "Conventions": "CF-1.12",
        },
    )
