"""Nearest neighbours: classify frozen features by the labels of the most similar labelled subjects."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component

QUERY_CHUNK = 250
"""Subjects compared with all labelled ones per step."""

Size = Annotated[int, Field(ge=1, le=1_000)]

UNKNOWN = -1
"""Label of a padding row."""


class NearestNeighbours(Component):
    """Weighted votes of the labelled subjects with the most similar frozen features (Wu et al. 2018).

    Similarity is the cosine of features standardised on the labelled subjects; a neighbour's vote has weight
    ``exp(similarity / temperature)``.
    """

    kind: Literal["nearest_neighbours"] = "nearest_neighbours"
    draws: Annotated[int, Field(ge=1, le=100)] = 4
    """Label sets drawn per replicate; results are averaged within the replicate."""
    neighbours: Annotated[tuple[Size, ...], Field(min_length=1, max_length=32)] = (5, 10, 20, 50, 100)
    """Candidate numbers of neighbours, chosen by validation loss; with fewer labels, all of them vote."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.07
    """Temperature of the vote weights; lower values favour the most similar neighbours."""

    adapts_encoder: ClassVar[bool] = False
    adapts_all: ClassVar[bool] = False
    linear_head: ClassVar[bool] = False

    def fit(
        self,
        task: Any,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Neighbours:
        """Store the labelled features, and the number of neighbours of lowest validation loss.

        Rows at or beyond a count have no weight; votes of labelled rows before it are scaled by ``weight``.
        """
        labelled = jnp.arange(labels.shape[0]) < count
        mean = labelled @ features / count
        scale = jnp.sqrt(labelled @ (features - mean) ** 2 / count + 1e-8)
        max_neighbours = min(max(self.neighbours), labels.shape[0])
        classifier = Neighbours(
            _direction((features - mean) / scale),
            jnp.where(labelled, labels, UNKNOWN),
            jnp.zeros(len(labels)) if weight is None else jnp.log(jnp.maximum(weight, 1e-30)),
            mean,
            scale,
            jnp.asarray(self.temperature, jnp.float32),
            jnp.ones(max_neighbours),
        )
        nearest = classifier.nearest(selection_features)
        counted = jnp.arange(selection_labels.shape[0]) < selection_count

        def validation_loss(votes: Float[Array, " k"]) -> Float[Array, ""]:
            return jnp.sum(jnp.where(counted, task.loss(_log_odds(*nearest, votes), selection_labels), 0))

        candidates = (jnp.arange(max_neighbours) < jnp.asarray(self.neighbours)[:, None]).astype(jnp.float32)
        return classifier._replace(votes=candidates[jnp.argmin(jax.vmap(validation_loss)(candidates))])


class Neighbours(NamedTuple):
    """A fitted nearest-neighbour classifier."""

    directions: Float[Array, "n d"]
    """Standardised features of the labelled subjects, scaled to unit length."""
    labels: Int[Array, " n"]
    """0, 1, or :data:`UNKNOWN` for padding, which never votes."""
    log_weights: Float[Array, " n"]
    """Log of the factor on each vote."""
    mean: Float[Array, " d"]
    scale: Float[Array, " d"]
    temperature: Float[Array, ""]
    votes: Float[Array, " k"]
    """1 for ranks that vote and 0 for the rest, by similarity."""

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Log-odds of disease of any number of feature vectors."""
        rows = features.reshape(-1, features.shape[-1])
        log_odds = jax.lax.map(
            lambda row: _log_odds(*self.nearest(row), self.votes), rows, batch_size=min(QUERY_CHUNK, rows.shape[0])
        )
        return log_odds.reshape(features.shape[:-1])

    def nearest(self, features: Float[Array, "*m d"]) -> tuple[Float[Array, "*m k"], Int[Array, "*m k"]]:
        """Log vote weights and labels of the nearest labelled subjects, nearest first."""
        similarity = _direction((features - self.mean) / self.scale) @ self.directions.T
        similarity = jnp.where(self.labels == UNKNOWN, -jnp.inf, similarity)
        largest, rows = jax.lax.top_k(similarity, len(self.votes))
        return largest / self.temperature + self.log_weights[rows], self.labels[rows]


def _direction(features: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
    return features / jnp.sqrt(jnp.sum(features**2, axis=-1, keepdims=True) + 1e-12)


def _log_odds(
    weights: Float[Array, "*m k"], labels: Int[Array, "*m k"], votes: Float[Array, " k"]
) -> Float[Array, "*m"]:
    """Log-odds from the weighted share of diseased votes times the number of voters, plus half a vote on either side.

    The half votes (Haldane 1956, Anscombe 1956) keep a unanimous vote finite, and give more voters more confidence.
    """
    counted = votes * (labels != UNKNOWN)
    voting = jnp.where(counted > 0, weights, -jnp.inf)
    relative = jnp.exp(voting - jnp.max(voting, axis=-1, keepdims=True))
    voters = jnp.sum(counted, axis=-1)
    share = jnp.sum(relative * labels, axis=-1) / jnp.sum(relative, axis=-1)
    return jnp.log(voters * share + 0.5) - jnp.log(voters * (1 - share) + 0.5)
