"""Random subsets of the patches of an image, for objectives that hide the others from the encoder."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from biasprop.interfaces import Encoder, HasTokens, Spec


def count(tokens: int, hidden_percent: int) -> int:
    """Number of visible patches among ``tokens``, at least 1."""
    return max(1, round(tokens * (100 - hidden_percent) / 100))


def incompatibility(kind: str, encoder: Encoder, spec: Spec, hidden_percent: int) -> str | None:
    """Why patches of such images cannot be hidden from the encoder, or None."""
    if not isinstance(encoder, HasTokens) or not encoder.drops_tokens:
        return f"{kind} needs an encoder that can drop tokens; {encoder.kind} cannot"
    height, width, _ = spec["image"].shape
    if count(tokens := (height // encoder.patch) * (width // encoder.patch), hidden_percent) >= tokens:
        return f"hidden_percent = {hidden_percent} hides none of {tokens} patches"
    return None


def selection(key: Key[Array, ""], n: int, tokens: int, hidden_percent: int) -> Float[Array, "n s t"]:
    """A random subset for each of n images, as one-hot rows.

    Rows select by a product, because gathers are slow inside a compiled scan on XLA:CPU.
    """
    order = jnp.argsort(jax.random.uniform(key, (n, tokens)), axis=1)
    return jax.nn.one_hot(order[:, : count(tokens, hidden_percent)], tokens)


def selected(pick: Float[Array, "n s t"], tokens: Float[Array, "n t d"]) -> Float[Array, "n s d"]:
    """The visible tokens of each image."""
    return jnp.einsum("nst,ntd->nsd", pick, tokens)
