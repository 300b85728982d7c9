"""Detect a disease: a binary target, predicted as log-odds by a linear head of the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.nn import heads
from biasprop.nn.heads import Head


class Disease(Component):
    """Log-odds of one of the generator's diseases, by logistic loss."""

    kind: Literal["disease"] = "disease"
    disease: Annotated[str, Field(max_length=100)] = ""
    """Name of one of the generator's diseases; empty for the first."""

    stored: ClassVar[tuple[str, ...]] = (
        *("score", "label", "train_auc"),
        *("selection_score", "selection_label", "calibration_score", "calibration_label"),
    )
    provides: ClassVar[tuple[str, ...]] = ("labels", "threshold", "threshold_probability")
    link: ClassVar[str] = "z"
    """Contrasts are taken on sqrt(2) times the inverse normal CDF of the AUC."""

    def disease_index(self, diseases: Sequence[str]) -> int | None:
        """Position of the disease among the generator's; None for the first, which needs no index.

        Raises:
            ValueError: the generator has no disease of this name.
        """
        return (diseases.index(self.disease) or None) if self.disease else None

    def head(self, features: int) -> Head:
        """A head of zeros: log-odds of 0 for every feature vector of this length."""
        return Head(jnp.zeros(features), jnp.zeros(()))

    def loss(self, outputs: Float[Array, " n"], targets: Int[Array, " n"]) -> Float[Array, " n"]:
        """Log loss of each subject, from log-odds and labels."""
        return heads.log_loss(outputs, targets)

    def fit(
        self,
        features: Float[Array, "n d"],
        targets: Int[Array, " n"],
        count: Int[Array, ""],
        penalty: float | Float[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Head:
        """The head of lowest penalised loss on frozen features (:func:`biasprop.nn.heads.solve`)."""
        return heads.solve(features, targets, count, penalty, weight)
