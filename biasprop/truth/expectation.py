"""Expected results of a study over cohorts and label sets, and their limit for infinite sizes.

No image is rendered and nothing is trained by gradients: cohorts are drawn from the law, their covariance is
decomposed, labelled subjects are drawn as features, the head is fitted by Newton's method, and its AUC is exact. The
only code shared with the pipeline is the key, in a separate stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from biasprop.interfaces import HasLaw
from biasprop.population.shifts import score_noise
from biasprop.truth.law import Law, mean_z_of_test, symmetric_root
from biasprop.truth.subspace import principal

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.study.conditions import Evaluation, PretrainingCondition
    from biasprop.study.study import Study

KNOWN_SHIFTS = ("acquisition", "score_noise")
"""Shifts of the evaluation whose effect on an AUC is known."""

MAX_NEWTON_STEPS = 40
"""Newton steps per fit, at most."""


class Design(NamedTuple):
    """Shares and sizes that an expectation depends on."""

    shares: Mapping[str, float]
    """P(subgroup) in the pretraining cohort."""
    prevalence: float
    """P(disease) in the cohort."""
    cohort: int
    """Size of the cohort."""
    features: int
    """Width of the bottleneck."""


def incompatibility(study: Study) -> str | None:
    """Why the result of a study is not known in closed form, or None."""
    from biasprop.interfaces import HasPenalties

    protocol = study.finetuning.protocol
    if not isinstance(study.generator.plain, HasLaw):
        return f"the generator {study.generator.kind} has no law in closed form"
    if study.encoder.kind != "linear" or study.pretraining.objective.kind != "reconstruction":
        return "only linear encoders pretrained by reconstruction have a known answer"
    if len(study.pretraining.sequence()) > 1 or not study.pretraining.source.in_domain:
        return "only pretraining in one stage on the study's own cohort has a known answer"
    if reason := _shift_incompatibility(study):
        return reason
    if protocol.kind != "linear_probe" or not isinstance(protocol, HasPenalties) or len(protocol.penalties) != 1:
        return "only linear probes with one penalty have a known answer"
    return None


def _shift_incompatibility(study: Study) -> str | None:
    """Why the shifts of some arm leave no known answer, or None."""
    from biasprop.study import design as designs

    cells = [cell for cell in designs.cells(study) if cell.replicate == 0]
    conditions = [arm.condition for cell in cells for arm in cell.arms]
    if any(cell.condition.pretraining.shifts for cell in cells) or any(c.finetuning.shifts for c in conditions):
        return "only shifts of the evaluation have a known answer"
    stated = {
        name
        for condition in conditions
        for shift in condition.evaluation.shifts.values()
        for name, value in shift.model_dump().items()
        if value and name not in KNOWN_SHIFTS
    }
    return f"the shift {min(stated)} of the evaluation has no known answer" if stated else None


def cohort_subspaces(law: Law, designs: Sequence[Design], seed: int, replicate: int) -> NDArray[np.float64]:
    """Principal subspaces of one finite cohort under several designs, with the same subjects in each.

    An image is ``R_g w + y s`` with white noise w, so a cohort's scatter matrix follows from that of w over the members
    of each subgroup. Subjects whose uniform lies between two neighbouring shares change subgroup together; the scatter
    of each such block is computed once for all designs.

    Args:
        law: of the images.
        designs: of one cohort size and width; only shares and prevalence may differ.
        seed, replicate: source of the randomness.

    Returns:
        [design, pixel, k], orthonormal columns.
    """
    import jax

    from biasprop import keys
    from biasprop.hardware import device

    n, s = designs[0].cohort, law.signal
    with device.computing():
        key = keys.stream(keys.replicate(seed, replicate), keys.Stream.TRUTH)
        white = np.asarray(jax.random.normal(keys.at(key, 0), (n, len(s))), np.float64)
        subgroup_uniform, label_uniform = np.asarray(jax.random.uniform(keys.at(key, 1), (2, n)))
    edges = np.array([np.cumsum([design.shares.get(name, 0.0) for name in law.covariances])[:-1] for design in designs])
    lower = np.append(-np.inf, np.unique(edges))
    block = np.searchsorted(lower, subgroup_uniform, side="right") - 1
    scatters = np.stack([white[block == b].T @ white[block == b] for b in range(len(lower))])
    bases = []
    for design, design_edges in zip(designs, edges, strict=True):
        subgroup = (lower[:, None] >= design_edges).sum(axis=1)  # of each block
        diseased = label_uniform < design.prevalence
        scatter, total, diseased_total = np.zeros((len(s), len(s))), diseased.sum() * s, np.zeros(len(s))
        for g, root in enumerate(law.roots.values()):
            members = subgroup[block] == g
            scatter += root @ scatters[subgroup == g].sum(axis=0) @ root
            total = total + root @ white[members].sum(axis=0)
            diseased_total += root @ white[members & diseased].sum(axis=0)
        cross = np.outer(diseased_total, s)
        scatter += cross + cross.T + diseased.sum() * np.outer(s, s) - np.outer(total, total) / n
        bases.append(principal(scatter, design.features))
    return np.stack(bases)


def head(features: NDArray, labels: NDArray, penalty: float) -> NDArray[np.float64]:
    """Weights [..., k] of logistic regressions minimising mean log loss + penalty / 2 |w sd|^2, by Newton's method.

    Args:
        features: [..., n, k]; all fits are solved in parallel.
        labels: [n], 0 or 1, the same for every fit.
        penalty: on the weights of standardised features, as in the linear probe.
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

    for _ in range(MAX_NEWTON_STEPS):
        p = expit(log_odds(theta))
        slope = ((p - labels)[..., None, :] @ inputs)[..., 0, :] / len(labels) + ridge * theta
        unsolved = np.abs(slope).max(axis=-1) >= 1e-9
        if not unsolved.any():
            break
        weighted = (inputs * (p * (1 - p))[..., None]).swapaxes(-1, -2)
        curvature = weighted @ inputs / len(labels) + np.diag(ridge + 1e-12)
        move = np.linalg.solve(curvature, (slope * unsolved[..., None])[..., None])[..., 0]
        current, length = loss(theta), np.ones(theta.shape[:-1])
        while (worse := (loss(theta - length[..., None] * move) > current) & (length > 1e-3)).any():
            length = np.where(worse, length / 2, length)
        theta = theta - length[..., None] * move
    return theta[..., :-1] / spread


def limit_head(law: Law, basis: NDArray, shares: Mapping[str, float]) -> NDArray[np.float64]:
    """Weights [k] of the logistic regression on infinitely many labels, half of them with disease.

    Given subgroup and label the log-odds are normal, so the expected loss is a sum of one-dimensional integrals. They
    are computed by Gauss-Hermite quadrature and minimised over weights and intercept. The result is not the linear
    discriminant, because a mixture of two covariances is not Gaussian.

    Args:
        law: of the images.
        basis: [pixel, k], basis of the features.
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
    """z of each subgroup for an infinite cohort and infinitely many labels with subgroup shares ``labelled``."""
    basis = principal(law.cohort_covariance(design.shares, design.prevalence), design.features)
    direction = basis @ limit_head(law, basis, labelled)
    return {name: float(law.z(direction, name)) for name in law.covariances}


def label_sets(
    law: Law, bases: NDArray, budgets: Sequence[int], draws: int, penalty: float, seed: int, replicate: int
) -> NDArray[np.float64]:
    """Directions [..., budget, draw, pixel] of heads fitted on balanced labelled subjects, budgets nested in a draw.

    Args:
        law: of the images; labels have equal shares of all its subgroups, half of each with disease.
        bases: [..., pixel, k], bases of the features; the labelled subjects are the same for each.
        budgets: numbers of subjects that are trained on.
        draws: number of label sets.
        penalty: see :func:`head`.
        seed, replicate: source of the randomness.
    """
    import jax

    from biasprop import keys
    from biasprop.hardware import device

    row, k = np.arange(max(budgets)), bases.shape[-1]
    subgroup, label = row % len(law.covariances), row // len(law.covariances) % 2
    with device.computing():
        key = keys.stream(keys.replicate(seed, replicate), keys.Stream.TRUTH)
        white = np.stack([np.asarray(jax.random.normal(keys.at(key, 2 + i), (len(row), k))) for i in range(draws)])
    back = bases.swapaxes(-1, -2)
    features = label[:, None] * (back @ law.signal)[..., None, None, :] + np.zeros((draws, 1, 1))
    for g, covariance in enumerate(law.covariances.values()):
        root = symmetric_root(back @ covariance @ bases)[..., None, :, :]
        features[..., subgroup == g, :] += white[:, subgroup == g].astype(np.float64) @ root
    fits = [head(features[..., :budget, :], label[:budget], penalty) for budget in budgets]
    return np.stack([fit @ back for fit in fits], axis=-3)


def expected(study: Study, replicates: int, seed: int, cohort: int | None = None) -> xr.Dataset:
    """Measures of a study, as :func:`biasprop.statistics.measures.measure` gives them, from simulated cohorts.

    Args:
        study: a study with a known answer (:func:`incompatibility` is None).
        replicates: number of simulated cohorts; each has the study's number of label sets.
        seed: source of the randomness; need not be the study's.
        cohort: cohort size, if not the study's.

    Returns:
        The measure ``z`` with the study's factors, ``replicate`` and ``subgroup`` as dims, one draw (the mean over
        label sets) and status 1, as input of :func:`biasprop.statistics.estimate.estimates`. z includes the mean
        effect of a finite test set (:func:`biasprop.truth.law.mean_z_of_test`).

    Raises:
        ValueError: the study has no known answer.
    """
    import xarray as xr

    from biasprop.interfaces import HasPenalties
    from biasprop.study import design as designs

    protocol, reason = study.finetuning.protocol, incompatibility(study)
    if reason or not isinstance(protocol, HasPenalties):
        raise ValueError(reason)
    law = Law.of(study.generator)
    labels = {name: [level.label for level in study.levels(name)] for name in study.factors}
    cells = [cell for cell in designs.cells(study) if cell.replicate == 0]
    sizes = [condition_design(cell.condition, cohort) for cell in cells]
    laws = {arm.name: law_of_test(study, arm.condition.evaluation) for cell in cells for arm in cell.arms}
    budgets = sorted({arm.condition.train_count for cell in cells for arm in cell.arms})
    shape = [len(of_factor) for of_factor in labels.values()]
    z = np.full((*shape, replicates, 1, len(law.covariances)), np.nan)
    half = study.evaluation.test // 2
    for r in range(replicates):
        bases = cohort_subspaces(law, sizes, seed, r)
        directions = label_sets(law, bases, budgets, protocol.draws, protocol.penalties[0], seed, r)
        for k, cell in enumerate(cells):
            for arm in cell.arms:
                index = tuple(labels[name].index(label) for name, label in arm.levels.items())
                models = directions[k, budgets.index(arm.condition.train_count)]
                exact = evaluated_z(laws[arm.name], models, arm.condition.evaluation)
                z[(*index, r, 0)] = mean_z_of_test(exact, half, study.evaluation.test - half).mean(axis=0)  # over draws
    dims = (*labels, "replicate", "draw")
    coords: dict[str, Any] = {**labels, "subgroup": list(law.covariances)}
    return xr.Dataset({"z": ((*dims, "subgroup"), z), "status": (dims, np.ones(z.shape[:-1], np.int64))}, coords)


def law_of_test(study: Study, evaluation: Evaluation) -> Law:
    """The law of test images, which an acquisition shift gives more noise."""
    return Law.of(study.generator, {name: float(shift.acquisition) for name, shift in evaluation.shifts.items()})


def evaluated_z(law: Law, directions: NDArray, evaluation: Evaluation) -> NDArray[np.float64]:
    """z [..., subgroup] of linear scores [..., pixel] under the shifts of an evaluation.

    Scores are normal within a class. Noise of t within-class standard deviations raises their variance by 1 + t^2, so
    it divides z by the root of that.

    Args:
        law: of the test images (:func:`law_of_test`).
        directions: [..., pixel].
        evaluation: with the shifts :data:`KNOWN_SHIFTS` at most.
    """
    noise = np.array(score_noise(evaluation.shifts, list(law.covariances)))
    return np.stack([law.z(directions, name) for name in law.covariances], axis=-1) / np.sqrt(1 + noise**2)


def condition_design(condition: PretrainingCondition, cohort: int | None = None) -> Design:
    """Shares and sizes of a pretraining condition, with another cohort size if one is given."""
    pretraining = condition.pretraining
    size = int(pretraining.cohort) if cohort is None else cohort
    return Design(
        pretraining.shares, float(pretraining.prevalence), size, condition.encoder.features(condition.generator.spec)
    )
