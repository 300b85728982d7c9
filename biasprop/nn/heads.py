"""Linear heads, and L2-regularised logistic regression solved to a tolerance."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

GRADIENT_TOLERANCE = 1e-5
"""Largest absolute component of the gradient at which a fit stops."""

MAX_ACCEPTED_GRADIENT = 1e-3
"""Largest absolute component of the gradient at which a fit that ran out of steps is still accepted."""

MAX_STEPS = 60
"""Newton steps after which a fit counts as failed unless its gradient is accepted."""


class Head(NamedTuple):
    """A linear classifier: ``features @ weights + intercept`` is the log-odds of disease."""

    weights: Float[Array, " d"]
    intercept: Float[Array, ""]

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Log-odds of any number of feature vectors."""
        return features @ self.weights + self.intercept


def log_loss(log_odds: Float[Array, " n"], labels: Int[Array, " n"]) -> Float[Array, " n"]:
    """Negative log-likelihood of 0/1 labels."""
    return jax.nn.softplus(log_odds) - labels * log_odds


def solve(
    features: Float[Array, "n d"],
    labels: Int[Array, " n"],
    count: Int[Array, ""],
    penalty: float | Float[Array, ""],
    sample_weight: Float[Array, " n"] | None = None,
) -> Head:
    """L2-regularised logistic regression of the first ``count`` rows, by damped Newton steps.

    Minimises ``mean log loss + penalty / 2 |weights|^2`` over features standardised on those rows; the intercept is
    not penalised. Each step takes the best of six lengths, full to 1/32.

    Args:
        features: rows at or beyond ``count`` are ignored.
        labels: 0 or 1.
        count: number of rows to fit.
        penalty: L2 strength.
        sample_weight: relative weight of each row; None for equal weights.

    Returns:
        The head for unstandardised features; all NaN if the fit failed (:data:`MAX_STEPS`).
    """
    weight = (jnp.arange(labels.shape[0]) < count).astype(jnp.float32)
    if sample_weight is not None:
        weight = weight * sample_weight
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
        return (steps < MAX_STEPS) & (jnp.max(jnp.abs(gradient(theta))) > GRADIENT_TOLERANCE)

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
    theta = jnp.where(jnp.max(jnp.abs(gradient(theta))) < MAX_ACCEPTED_GRADIENT, theta, jnp.nan)
    weights = theta[:-1] / scale
    return Head(weights, theta[-1] - mean @ weights)
