"""The third layer: what a study finds on average over cohorts and label sets, by its own integration, and its limit.

Images are never rendered and nothing is trained by gradients: cohorts are drawn from the law, their covariance is
decomposed, labelled subjects are drawn as features, the head is fitted by Newton's method, and its AUC is exact. Only
the source of randomness is shared with the pipeline, in a stream of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from biasprop.truth.law import Law, mean_z_of_test, symmetric_root
from biasprop.truth.subspace import principal

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.study.study import Study

NEWTON = 40
"""Most Newton steps of a fit."""


class Design(NamedTuple):
    """The sizes an expectation depends on."""

    shares: Mapping[str, float]
    """P(subgroup) in the pretraining cohort."""
    prevalence: float
    """P(disease) in the cohort."""
    cohort: int
    """Its size."""
    features: int
    """Width of the bottleneck."""


def refused(study: Study) -> str | None:
    """Why the answer of a study is not known in closed form, or None."""
    protocol = study.finetuning.protocol
    if not hasattr(study.generator, "law"):
        return f"the generator {study.generator.kind} has no law in closed form"
    if study.encoder.kind != "linear" or study.pretraining.objective.kind != "reconstruction":
        return "known are only linear encoders pretrained by reconstruction"
    if getattr(protocol, "kind", "") != "linear_probe" or len(protocol.penalties) != 1:
        return "known are only linear probes with one penalty"
    return None


def cohort_subspaces(law: Law, designs: Sequence[Design], seed: int, replicate: int) -> NDArray[np.float64]:
    """Principal subspaces of one finite cohort under several shares, with the same subjects in each.

    An image is ``R_g w + y s`` with white noise w, so a cohort's scatter matrix follows from that of w over the
    members of each subgroup. Between two neighbouring shares subjects change subgroup together: the scatter of each
    such block is computed once, however many designs there are.

    Args:
        law: of the images.
        designs: of one cohort size and width; only shares and prevalence may differ.
        seed, replicate: own the randomness.

    Returns:
        [design, pixel, k], orthonormal columns.
    """
    import jax

    from biasprop import keys

    key = keys.stream(keys.replicate(seed, replicate), keys.Stream.TRUTH)
    n, s = designs[0].cohort, law.signal
    white = np.asarray(jax.random.normal(keys.at(key, 0), (n, len(s))), np.float64)
    who, ill = np.asarray(jax.random.uniform(keys.at(key, 1), (2, n)))
    edges = np.array([np.cumsum([design.shares.get(name, 0.0) for name in law.covariances])[:-1] for design in designs])
    lower = np.append(-np.inf, np.unique(edges))
    block = np.searchsorted(lower, who, side="right") - 1
    scatters = np.stack([white[block == b].T @ white[block == b] for b in range(len(lower))])
    found = []
    for design, own in zip(designs, edges, strict=True):
        subgroup = (lower[:, None] >= own).sum(axis=1)  # of each block
        sick = ill < design.prevalence
        scatter, mean, among_sick = np.zeros((len(s), len(s))), sick.sum() * s, np.zeros(len(s))
        for g, root in enumerate(law.roots.values()):
            members = subgroup[block] == g
            scatter += root @ scatters[subgroup == g].sum(axis=0) @ root
            mean = mean + root @ white[members].sum(axis=0)
            among_sick += root @ white[members & sick].sum(axis=0)
        cross = np.outer(among_sick, s)
        scatter += cross + cross.T + sick.sum() * np.outer(s, s) - np.outer(mean, mean) / n
        found.append(principal(scatter, design.features))
    return np.stack(found)


def head(features: NDArray, labels: NDArray, penalty: float) -> NDArray[np.float64]:
    """Weights [..., k] of logistic regressions minimising mean log loss + penalty / 2 |w sd|^2, by Newton's method.

    Args:
        features: [..., n, k]; all fits are solved side by side.
        labels: [n], 0 or 1, of every fit.
        penalty: on weights of features in units of their own sd, as the linear probe has it.
    """
    spread = features.std(axis=-2)
    scaled = (features - features.mean(axis=-2, keepdims=True)) / spread[..., None, :]
    inputs = np.concatenate([scaled, np.ones_like(scaled[..., :1])], axis=-1)
    ridge = penalty * np.append(np.ones(spread.shape[-1]), 0)
    theta = np.zeros((*spread.shape[:-1], len(ridge)))

    def log_odds(theta: NDArray) -> NDArray:
        return (inputs @ theta[..., None])[..., 0]

    def loss(theta: NDArray) -> NDArray:
        odds = log_odds(theta)
        return np.mean(np.logaddexp(0, odds) - labels * odds, axis=-1) + 0.5 * theta**2 @ ridge

    for _ in range(NEWTON):
        p = expit(log_odds(theta))
        slope = ((p - labels)[..., None, :] @ inputs)[..., 0, :] / len(labels) + ridge * theta
        moving = np.abs(slope).max(axis=-1) >= 1e-9
        if not moving.any():
            break
        weighted = (inputs * (p * (1 - p))[..., None]).swapaxes(-1, -2)
        curvature = weighted @ inputs / len(labels) + np.diag(ridge + 1e-12)
        move = np.linalg.solve(curvature, (slope * moving[..., None])[..., None])[..., 0]
        here, length = loss(theta), np.ones(theta.shape[:-1])
        while (worse := (loss(theta - length[..., None] * move) > here) & (length > 1e-3)).any():
            length = np.where(worse, length / 2, length)
        theta = theta - length[..., None] * move
    return theta[..., :-1] / spread


def limit_head(law: Law, basis: NDArray, shares: Mapping[str, float]) -> NDArray[np.float64]:
    """Weights [k] of the logistic regression on infinitely many labels, half of them with disease.

    Given subgroup and label the log-odds are normal, so the expected loss is a sum of one-dimensional integrals, done
    by Gauss and Hermite's rule, and is minimised over weights and intercept. It is no linear discriminant: a mixture of
    two covariances is not Gaussian.

    Args:
        law: of the images.
        basis: [pixel, k] of the features.
        shares: P(subgroup) among the labels.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    signal = basis.T @ law.signal
    covariances = {name: basis.T @ law.covariances[name] @ basis for name in shares}

    def loss(theta: NDArray) -> tuple[float, NDArray]:
        w, intercept = theta[:-1], theta[-1]
        value, slope = 0.0, np.zeros_like(theta)
        for name, share in shares.items():
            spread = np.sqrt(max(w @ covariances[name] @ w, 1e-30))
            for label in (0, 1):
                part = share / 2 * weights
                odds = intercept + label * (w @ signal) + spread * nodes
                value += part @ (np.logaddexp(0, odds) - label * odds)
                error = part * (expit(odds) - label)
                slope[:-1] += error.sum() * label * signal + (error @ nodes) * covariances[name] @ w / spread
                slope[-1] += error.sum()
        return value, slope

    pooled = np.asarray(sum(share * covariances[name] for name, share in shares.items()))
    start = np.linalg.solve(pooled, signal)
    start = np.append(start, -0.5 * start @ signal)
    return minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x[:-1]


def limit_z(law: Law, design: Design, labelled: Mapping[str, float]) -> dict[str, float]:
    """z of each subgroup with an infinite cohort and infinitely many labels of the subgroups ``labelled`` (shares)."""
    basis = principal(law.cohort_covariance(design.shares, design.prevalence), design.features)
    direction = basis @ limit_head(law, basis, labelled)
    return {name: float(law.z(direction, name)) for name in law.covariances}


def label_sets(
    law: Law, bases: NDArray, budgets: Sequence[int], draws: int, penalty: float, seed: int, replicate: int
) -> NDArray[np.float64]:
    """Directions [..., budget, draw, pixel] of heads fitted on balanced labelled subjects, budgets nested in a draw.

    Args:
        law: of the images; all its subgroups are labelled equally often, half of each with disease.
        bases: [..., pixel, k] of the features; the same subjects are labelled under each.
        budgets: label budgets.
        draws: label sets.
        penalty: see :func:`head`.
        seed, replicate: own the randomness.
    """
    import jax

    from biasprop import keys

    key = keys.stream(keys.replicate(seed, replicate), keys.Stream.TRUTH)
    row, k = np.arange(max(budgets)), bases.shape[-1]
    subgroup, label = row % len(law.covariances), row // len(law.covariances) % 2
    white = np.stack([np.asarray(jax.random.normal(keys.at(key, 2 + i), (len(row), k))) for i in range(draws)])
    back = bases.swapaxes(-1, -2)
    features = label[:, None] * (back @ law.signal)[..., None, None, :] + np.zeros((draws, 1, 1))
    for g, covariance in enumerate(law.covariances.values()):
        root = symmetric_root(back @ covariance @ bases)[..., None, :, :]
        features[..., subgroup == g, :] += white[:, subgroup == g].astype(np.float64) @ root
    fits = [head(features[..., :budget, :], label[:budget], penalty) for budget in budgets]
    return np.stack([fit @ back for fit in fits], axis=-3)


def expected(study: Study, replicates: int, seed: int, cohort: int | None = None) -> xr.Dataset:
    """What :func:`biasprop.statistics.measures.measure` would give of a study, integrated over cohorts and label sets.

    Args:
        study: of a kind that :func:`refused` does not refuse; its budgets are those of the factor that moves labels.
        replicates: simulated cohorts; each has the study's number of label sets.
        seed: own the randomness; need not be the study's.
        cohort: instead of the study's own cohort size.

    Returns:
        The measure ``z`` with the study's factors, ``replicate`` and ``subgroup`` as dims, one draw (label
        sets are averaged already) and status 1, to be handed to ``statistics.estimates``. z includes what a finite test
        set adds on average (:func:`biasprop.truth.law.mean_z_of_test`).

    Raises:
        ValueError: the study's answer is not known.
    """
    import xarray as xr

    from biasprop.study import design as designs

    if reason := refused(study):
        raise ValueError(reason)
    law = Law.of(study.generator)
    places = {name: [level.label for level in study.levels(name)] for name in study.factors}
    protocol = study.finetuning.protocol
    cells = [cell for cell in designs.cells(study) if cell.replicate == 0]
    own = [of_condition(cell.condition, cohort) for cell in cells]
    budgets = sorted({int(arm.condition.finetuning.labels) for cell in cells for arm in cell.arms})
    shape = [len(labels) for labels in places.values()]
    z = np.full((*shape, replicates, 1, len(law.covariances)), np.nan)
    half = study.evaluation.test // 2
    for r in range(replicates):
        bases = cohort_subspaces(law, own, seed, r)
        directions = label_sets(law, bases, budgets, protocol.draws, protocol.penalties[0], seed, r)
        exact = np.stack([law.z(directions, name) for name in law.covariances], axis=-1)
        reported = mean_z_of_test(exact, half, study.evaluation.test - half).mean(axis=-2)  # over draws
        for cell, by_budget in zip(cells, reported, strict=True):
            for arm in cell.arms:
                where = tuple(places[name].index(label) for name, label in arm.levels.items())
                z[(*where, r, 0)] = by_budget[budgets.index(int(arm.condition.finetuning.labels))]
    dims = (*places, "replicate", "draw")
    coords: dict[str, Any] = {**places, "subgroup": list(law.covariances)}
    return xr.Dataset({"z": ((*dims, "subgroup"), z), "status": (dims, np.ones(z.shape[:-1], np.int64))}, coords)


def of_condition(condition: Any, cohort: int | None = None) -> Design:
    """The sizes of a pretraining condition, with another cohort where one is given."""
    pretraining = condition.pretraining
    size = int(pretraining.cohort) if cohort is None else cohort
    return Design(pretraining.shares, float(pretraining.prevalence), size, condition.encoder.features)
