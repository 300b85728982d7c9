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

from biasprop.truth.law import Law, mean_z_of_test
from biasprop.truth.subspace import principal

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.study import Study

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


def cohort_subspaces(law: Law, designs: Sequence[Design], seed: int, replicate: int) -> list[NDArray[np.float64]]:
    """Principal subspaces [pixel, k] of one finite cohort under several shares, with the same subjects in each.

    Args:
        law: of the images.
        designs: of one cohort size; only shares and prevalence may differ.
        seed, replicate: own the randomness.
    """
    import jax

    from biasprop import keys

    key = keys.stream(keys.replicate(seed, replicate), keys.Stream.TRUTH)
    n, pixels = designs[0].cohort, len(law.signal)
    white = np.asarray(jax.random.normal(keys.at(key, 0), (n, pixels)), np.float64)
    who, ill = np.asarray(jax.random.uniform(keys.at(key, 1), (2, n)))
    backgrounds = [white @ _root(covariance) for covariance in law.covariances.values()]
    found = []
    for design in designs:
        edges = np.cumsum([design.shares.get(name, 0.0) for name in law.covariances])[:-1]
        subgroup = (who[:, None] >= edges).sum(axis=1)
        images = np.select([(subgroup == g)[:, None] for g in range(len(backgrounds))], backgrounds)
        images = images + (ill < design.prevalence)[:, None] * law.signal
        images -= images.mean(axis=0)
        found.append(principal(images.T @ images, design.features))
    return found


def head(features: NDArray, labels: NDArray, penalty: float) -> NDArray[np.float64]:
    """Weights [k] of the logistic regression minimising mean log loss + penalty / 2 |w sd|^2, by Newton's method.

    Args:
        features: [n, k].
        labels: [n], 0 or 1.
        penalty: on weights of features in units of their own sd, as the linear probe has it.
    """
    spread = features.std(axis=0)
    inputs = np.column_stack([(features - features.mean(axis=0)) / spread, np.ones(len(features))])
    ridge = penalty * np.append(np.ones(len(spread)), 0)
    theta = np.zeros(inputs.shape[1])

    def loss(theta: NDArray) -> float:
        odds = inputs @ theta
        return float(np.mean(np.logaddexp(0, odds) - labels * odds) + 0.5 * ridge @ theta**2)

    for _ in range(NEWTON):
        p = expit(inputs @ theta)
        slope = inputs.T @ (p - labels) / len(labels) + ridge * theta
        if np.abs(slope).max() < 1e-9:
            break
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs / len(labels) + np.diag(ridge + 1e-12)
        move = np.linalg.solve(curvature, slope)
        here, length = loss(theta), 1.0
        while loss(theta - length * move) > here and length > 1e-3:
            length /= 2
        theta = theta - length * move
    return theta[:-1] / spread


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
    law: Law, basis: NDArray, budgets: Sequence[int], draws: int, penalty: float, seed: int, replicate: int
) -> NDArray[np.float64]:
    """Directions [budget, draw, pixel] of heads fitted on balanced labelled subjects, budgets nested in a draw.

    Args:
        law: of the images; all its subgroups are labelled equally often, half of each with disease.
        basis: [pixel, k] of the features.
        budgets: label budgets.
        draws: label sets.
        penalty: see :func:`head`.
        seed, replicate: own the randomness.
    """
    import jax

    from biasprop import keys

    key = keys.stream(keys.replicate(seed, replicate), keys.Stream.TRUTH)
    names, k = list(law.covariances), basis.shape[1]
    row = np.arange(max(budgets))
    subgroup, label = row % len(names), row // len(names) % 2
    roots = [_root(basis.T @ law.covariances[name] @ basis) for name in names]
    found = np.empty((len(budgets), draws, len(law.signal)))
    for draw in range(draws):
        white = np.asarray(jax.random.normal(keys.at(key, 2 + draw), (len(row), k)), np.float64)
        features = np.select([(subgroup == g)[:, None] for g in range(len(names))], [white @ root for root in roots])
        features = features + label[:, None] * (basis.T @ law.signal)
        for i, budget in enumerate(budgets):
            found[i, draw] = basis @ head(features[:budget], label[:budget], penalty)
    return found


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

    from biasprop import design as designs

    if reason := refused(study):
        raise ValueError(reason)
    law = Law.of(study.generator)
    places = {name: [level.label for level in study.levels(name)] for name in study.factors}
    protocol = study.finetuning.protocol
    cells = [cell for cell in designs.cells(study) if cell.replicate == 0]
    own = [of_condition(cell.condition, cohort) for cell in cells]
    shape = [len(labels) for labels in places.values()]
    z = np.full((*shape, replicates, 1, len(law.covariances)), np.nan)
    half = study.evaluation.test // 2
    for r in range(replicates):
        for cell, basis in zip(cells, cohort_subspaces(law, own, seed, r), strict=True):
            budgets = sorted({int(arm.condition.finetuning.labels) for arm in cell.arms})
            found = label_sets(law, basis, budgets, protocol.draws, protocol.penalties[0], seed, r)
            for arm in cell.arms:
                where = tuple(places[name].index(label) for name, label in arm.levels.items())
                directions = found[budgets.index(int(arm.condition.finetuning.labels))]
                for g, name in enumerate(law.covariances):
                    reported = mean_z_of_test(law.z(directions, name), half, study.evaluation.test - half)
                    z[(*where, r, 0, g)] = reported.mean()
    dims = (*places, "replicate", "draw")
    coords: dict[str, Any] = {**places, "subgroup": list(law.covariances)}
    return xr.Dataset({"z": ((*dims, "subgroup"), z), "status": (dims, np.ones(z.shape[:-1], np.int64))}, coords)


def of_condition(condition: Any, cohort: int | None = None) -> Design:
    """The sizes of a pretraining condition, with another cohort where one is given."""
    pretraining = condition.pretraining
    size = int(pretraining.cohort) if cohort is None else cohort
    return Design(pretraining.shares, float(pretraining.prevalence), size, condition.encoder.features)


def _root(covariance: NDArray) -> NDArray[np.float64]:
    """Symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
