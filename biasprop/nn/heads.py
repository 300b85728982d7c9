"""Linear heads: the read-out of features that every protocol ends in, and logistic regression solved to tolerance."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

TOLERANCE = 1e-5
"""Largest component of the gradient at which the fit stops."""

CONVERGED = 1e-3
"""Largest component of the gradient at which a fit that ran out of steps still counts as solved."""

MAX_STEPS = 60
"""Newton steps before the fit is given up as not solved."""


class Head(NamedTuple):
    """A linear read-out of features: ``features @ weights + intercept`` is the log-odds of disease."""

    weights: Float[Array, " d"]
    intercept: Float[Array, ""]

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Log-odds of any number of subjects."""
        return features @ self.weights + self.intercept


def log_loss(log_odds: Float[Array, " n"], labels: Int[Array, " n"]) -> Float[Array, " n"]:
    """Negative log-likelihood of 0/1 labels."""
    return jax.nn.softplus(log_odds) - labels * log_odds


def solve(
    features: Float[Array, "n d"],
    labels: Int[Array, " n"],
    count: Int[Array, ""],
    penalty: float | Float[Array, ""],
    counts: Float[Array, " n"] | None = None,
) -> Head:
    """L2-regularised logistic regression of the first ``count`` rows, by damped Newton steps.

    ``counts`` is how much each of them counts, all alike where it is None.

    Minimises ``mean log loss + penalty / 2 |weights|^2`` over features standardised on those rows; the intercept is
    free. Each step takes the best of six lengths, full to 1/32. A fit that is not solved is NaN.
    """
    weight = (jnp.arange(labels.shape[0]) < count).astype(jnp.float32)
    if counts is not None:
        weight = weight * counts
    weight = weight / jnp.sum(weight)
    mean = weight @ features
    scale = jnp.sqrt(weight @ (features - mean) ** 2 + 1e-8)
    inputs = jnp.concatenate([(features - mean) / scale, jnp.ones_like(features[:, :1])], axis=1)
    ridge = penalty * jnp.ones(inputs.shape[1]).at[-1].set(0.0)

    def loss(theta: Float[Array, " d"]) -> Float[Array, ""]:
        return weight @ log_loss(inputs @ theta, labels) + 0.5 * jnp.sum(ridge * theta**2)

    def gradient(theta: Float[Array, " d"]) -> Float[Array, " d"]:
        return inputs.T @ (weight * (jax.nn.sigmoid(inputs @ theta) - labels)) + ridge * theta

    def unsolved(state: tuple[Array, Array]) -> Array:
        theta, steps = state
        return (steps < MAX_STEPS) & (jnp.max(jnp.abs(gradient(theta))) > TOLERANCE)

    def newton(state: tuple[Array, Array]) -> tuple[Array, Array]:
        theta, steps = state
        p = jax.nn.sigmoid(inputs @ theta)
        curvature = weight * p * (1 - p)
        hessian = (inputs * curvature[:, None]).T @ inputs + jnp.diag(ridge + 1e-6)
        move = jnp.linalg.solve(hessian, gradient(theta))
        lengths = 0.5 ** jnp.arange(6)
        losses = jax.vmap(lambda length: loss(theta - length * move))(lengths)
        return theta - lengths[jnp.argmin(losses)] * move, steps + 1

    theta, _ = jax.lax.while_loop(unsolved, newton, (jnp.zeros(inputs.shape[1]), jnp.int32(0)))
    theta = jnp.where(jnp.max(jnp.abs(gradient(theta))) < CONVERGED, theta, jnp.nan)
    weights = theta[:-1] / scale
    return Head(weights, theta[-1] - mean @ weights)
