"""Supervised pretraining on an auxiliary label: an attribute that is independent of disease and subgroup."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec
from biasprop.keys import at_each
from biasprop.nn.views import Augmentation
from biasprop.objectives import weighting


class Supervised(Component):
    """Predicts one annotated attribute from the pooled features of an augmented view, by a two-layer head."""

    kind: Literal["supervised"] = "supervised"
    attribute: Annotated[str, Field(max_length=100)] = ""
    """Name of one of the generator's attributes, which are independent of disease and subgroup; empty for the first."""
    projection: Annotated[int, Field(ge=2, le=4096)] = 64
    """Hidden width of the head."""
    augmentation: Augmentation = Augmentation(scale=0.0, shift=0.0)
    """Augmentation of the view. It should preserve the attribute: a position needs views without flips."""

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("attribute",)

    def incompatibility(self, encoder: Any, spec: Spec) -> str | None:
        """None: every encoder can be trained."""
        return None

    def init(self, key: Key[Array, ""], encoder: Any, spec: Spec) -> Params:
        """Parameters of the head."""
        from biasprop.nn import layers

        return layers.init(self._head(encoder.features(spec)), key)

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        attribute: Float[Array, " n"],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error in units of the attribute's variance: predicting the mean gives 1."""
        from biasprop.nn import layers

        n = len(attribute)
        views = jax.vmap(self.augmentation.view)(at_each(key, jnp.arange(n)), examples)
        features = encoder.apply(params, views)
        predicted = layers.apply(self._head(features.shape[1]), extra, features)
        return weighting.weighted_mean((predicted[:, 0] - attribute) ** 2, weight)

    def _head(self, features: int) -> Any:
        from biasprop.nn import layers

        return layers.Blueprint(layers.Projection, (features, self.projection, 1))
