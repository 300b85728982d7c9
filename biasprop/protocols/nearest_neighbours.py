"""Nearest neighbours: reads frozen features without any training, by the labels of those most alike."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.nn.heads import log_loss

PIECE = 250
"""Subjects compared with all labelled ones at once."""

Size = Annotated[int, Field(ge=1, le=1_000)]

UNKNOWN = -1
"""Label of a row beyond the budget."""


class NearestNeighbours(Component):
    """Freezes the encoder; weighted votes of the labelled subjects with the most similar features (Wu et al. 2018).

    Similarity is the cosine of features standardised on the labelled subjects, and a neighbour's vote counts
    ``exp(similarity / temperature)``.
    """

    kind: Literal["nearest_neighbours"] = "nearest_neighbours"
    draws: Annotated[int, Field(ge=1, le=100)] = 4
    """Label sets drawn in each replicate; their scores are averaged within the replicate."""
    neighbours: Annotated[tuple[Size, ...], Field(min_length=1, max_length=32)] = (5, 10, 20, 50, 100)
    """Candidate numbers of neighbours, of which the one with the lowest loss on the selection set is kept; where there
    are fewer labels, all of them vote."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.07
    """How much more the more similar neighbour counts."""

    adapts_encoder: ClassVar[bool] = False
    adapts_all: ClassVar[bool] = False
    linear_head: ClassVar[bool] = False

    def fit(
        self,
        features: Float[Array, "n d"],
        labels: Int[Array, " n"],
        count: Int[Array, ""],
        selection_features: Float[Array, "m d"],
        selection_labels: Int[Array, " m"],
        selection_count: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Neighbours:
        """Keep the labelled features, and as many neighbours as judge the selection set best.

        Rows at or beyond a count carry no weight, the votes of labelled ones otherwise ``weight``.
        """
        there = jnp.arange(labels.shape[0]) < count
        mean = there @ features / count
        scale = jnp.sqrt(there @ (features - mean) ** 2 / count + 1e-8)
        most = min(max(self.neighbours), labels.shape[0])
        known = Neighbours(
            _direction((features - mean) / scale),
            jnp.where(there, labels, UNKNOWN),
            jnp.zeros(len(labels)) if weight is None else jnp.log(jnp.maximum(weight, 1e-30)),
            mean,
            scale,
            jnp.asarray(self.temperature, jnp.float32),
            jnp.ones(most),
        )
        nearest = known.nearest(selection_features)
        chosen = jnp.arange(selection_labels.shape[0]) < selection_count

        def judged(votes: Float[Array, " k"]) -> Float[Array, ""]:
            return jnp.sum(jnp.where(chosen, log_loss(_log_odds(*nearest, votes), selection_labels), 0))

        candidates = (jnp.arange(most) < jnp.asarray(self.neighbours)[:, None]).astype(jnp.float32)
        return known._replace(votes=candidates[jnp.argmin(jax.vmap(judged)(candidates))])


class Neighbours(NamedTuple):
    """Labelled subjects whose votes are the read-out of a feature vector."""

    directions: Float[Array, "n d"]
    """Of unit length."""
    labels: Int[Array, " n"]
    """0, 1, or :data:`UNKNOWN` for one who never votes."""
    log_weights: Float[Array, " n"]
    """Log of how much more than by its likeness a vote counts."""
    mean: Float[Array, " d"]
    scale: Float[Array, " d"]
    temperature: Float[Array, ""]
    votes: Float[Array, " k"]
    """1 for the nearest ones, 0 for those who are looked for and do not vote."""

    def __call__(self, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
        """Log-odds of disease of any number of subjects."""
        rows = features.reshape(-1, features.shape[-1])
        told = jax.lax.map(
            lambda row: _log_odds(*self.nearest(row), self.votes), rows, batch_size=min(PIECE, rows.shape[0])
        )
        return told.reshape(features.shape[:-1])

    def nearest(self, features: Float[Array, "*m d"]) -> tuple[Float[Array, "*m k"], Int[Array, "*m k"]]:
        """Log of the weight of each of the nearest labelled subjects, nearest first, and their labels."""
        similarity = _direction((features - self.mean) / self.scale) @ self.directions.T
        similarity = jnp.where(self.labels == UNKNOWN, -jnp.inf, similarity)
        largest, who = jax.lax.top_k(similarity, len(self.votes))
        return largest / self.temperature + self.log_weights[who], self.labels[who]


def _direction(features: Float[Array, "*m d"]) -> Float[Array, "*m d"]:
    return features / jnp.sqrt(jnp.sum(features**2, axis=-1, keepdims=True) + 1e-12)


def _log_odds(
    weights: Float[Array, "*m k"], labels: Int[Array, "*m k"], votes: Float[Array, " k"]
) -> Float[Array, "*m"]:
    """Log-odds of the weighted share of votes among as many voters, with half a vote added on either side.

    The half votes (Haldane 1956, Anscombe 1956) keep an unanimous vote finite, and let more voters be surer.
    """
    counted = votes * (labels != UNKNOWN)
    cast = jnp.where(counted > 0, weights, -jnp.inf)
    votes_of = jnp.exp(cast - jnp.max(cast, axis=-1, keepdims=True))
    voters = jnp.sum(counted, axis=-1)
    share = jnp.sum(votes_of * labels, axis=-1) / jnp.sum(votes_of, axis=-1)
    return jnp.log(voters * share + 0.5) - jnp.log(voters * (1 - share) + 0.5)
