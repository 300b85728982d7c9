"""Contrastive pretraining: views of one image are made similar, views of different images dissimilar (SimCLR)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Encoder, Example, HasTokens, Params, Spec
from biasprop.keys import at, at_each
from biasprop.nn.views import Augmentation, without_views
from biasprop.objectives import visible_tokens, weighting


class Contrastive(Component):
    """SimCLR (Chen et al. 2020): NT-Xent over two views of every image of a batch, through a projection head."""

    kind: Literal["contrastive"] = "contrastive"
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.04
    """Temperature of the softmax over cosine similarities."""
    projection: Annotated[int, Field(ge=2, le=4096)] = 64
    """Hidden and output width of the projection head."""
    augmentation: Augmentation = Augmentation()
    """Augmentation of the two views."""
    hidden_percent: Annotated[int, Field(ge=0, le=90)] = Field(default=0, exclude_if=lambda percent: not percent)
    """Patches of each view that the encoder does not see, %; each view hides others."""

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    def incompatibility(self, encoder: Encoder, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        if why := without_views(self.kind, encoder):
            return why
        return (
            visible_tokens.incompatibility(self.kind, encoder, spec, self.hidden_percent)
            if self.hidden_percent
            else None
        )

    def init(self, key: Key[Array, ""], encoder: Encoder, spec: Spec) -> Params:
        """Parameters of the projection head."""
        from biasprop.nn import layers

        return layers.init(self._head(encoder.features(spec)), key)

    def loss(
        self,
        encoder: Encoder,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean NT-Xent of a batch; views are drawn from the step's key and the position in the batch."""
        from biasprop.nn import layers

        n = len(jax.tree.leaves(examples)[0])
        view_keys = jax.vmap(lambda view: at_each(at(key, view), jnp.arange(n)))(jnp.arange(2))
        views = jax.vmap(jax.vmap(self.augmentation.view), (0, None))(view_keys, examples)
        views = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), views)
        features = self._features(encoder, params, views, at(key, 2))
        projected = layers.apply(self._head(features.shape[1]), extra, features)
        return nt_xent(projected, self.temperature, None if weight is None else jnp.tile(weight, 2))

    def _features(self, encoder: Encoder, params: Params, views: Example, key: Key[Array, ""]) -> Float[Array, "m d"]:
        """Pooled features of the visible patches."""
        if not self.hidden_percent:
            return encoder.apply(params, views)
        assert isinstance(encoder, HasTokens), "see incompatibility"
        m, height, width, _ = views["image"].shape
        tokens = (height // encoder.patch) * (width // encoder.patch)
        pick = visible_tokens.selection(key, m, tokens, self.hidden_percent)
        return encoder.tokens(params, views["image"], lambda x: visible_tokens.selected(pick, x)).mean(axis=1)

    def _head(self, features: int) -> Any:
        from biasprop.nn import layers

        return layers.Blueprint(layers.Projection, (features, self.projection, self.projection))


def nt_xent(
    projected: Float[Array, "m k"], temperature: float | Float[Array, ""], weight: Float[Array, " m"] | None = None
) -> Float[Array, ""]:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020, eq. 1).

    Args:
        projected: rows i and i + m/2 are the two views of one image.
        temperature: of the softmax.
        weight: weight of each row as an anchor; None for equal weights.
    """
    m = projected.shape[0]
    unit = projected / jnp.sqrt(jnp.sum(projected**2, axis=1, keepdims=True) + 1e-12)
    logits = unit @ unit.T / temperature
    logits = jnp.where(jnp.eye(m, dtype=bool), -1e9, logits)
    partner = (jnp.arange(m) + m // 2) % m
    positive = jnp.sum(unit * unit[partner], axis=1) / temperature
    return weighting.weighted_mean(jax.nn.logsumexp(logits, axis=1) - positive, weight)
