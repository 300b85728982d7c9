"""Vision transformer (Dosovitskiy et al. 2021), patches by reshape and matrix product, features by mean pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import jax
from jaxtyping import Array, Float, Key
from pydantic import Field, model_validator

from biasprop.component import Component
from biasprop.interfaces import Params


class Vit(Component):
    """Patchify, transformer, mean-pooled features."""

    kind: Literal["vit"] = "vit"
    patch: Annotated[int, Field(ge=1, le=64)] = 8
    """Side of a patch in pixels; must divide the image."""
    width: Annotated[int, Field(ge=4, le=4096)] = 64
    """Length of a token and of the feature vector."""
    depth: Annotated[int, Field(ge=1, le=48)] = 2
    """Number of blocks."""
    heads: Annotated[int, Field(ge=1, le=64)] = 2
    """Attention heads; must divide the width."""
    expansion: Annotated[int, Field(ge=1, le=16)] = 2
    """Hidden width of the MLPs over the width."""

    @model_validator(mode="after")
    def heads_divide_width(self) -> Self:
        """Every head needs the same whole number of channels."""
        if self.width % self.heads:
            raise ValueError(f"heads = {self.heads} must divide width = {self.width}")
        return self

    @property
    def features(self) -> int:
        """Length of the feature vector."""
        return self.width

    def refuses(self, shape: tuple[int, int, int]) -> str | None:
        """Why images of this shape cannot be encoded, or None."""
        if shape[0] % self.patch or shape[1] % self.patch:
            return f"patch = {self.patch} must divide the image size {shape[0]}"
        return None

    def numbers(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """How many parameters there are, and how many numbers of an image are kept for the way back."""
        tokens = (shape[0] // self.patch) * (shape[1] // self.patch)
        width, inputs, wide = self.width, self.patch * self.patch * shape[2], self.expansion
        block = width * (width * (4 + 2 * wide) + 9 + wide)
        kept = tokens * width * (10 + 2 * wide) + 2 * self.heads * tokens * tokens
        return width * (inputs + tokens + 3) + self.depth * block, tokens * width + self.depth * kept

    def init(self, key: Key[Array, ""], shape: tuple[int, int, int]) -> Params:
        """Untrained parameters for images of this shape."""
        from biasprop import layers

        return layers.init(self._build(shape), key)

    def tokens(
        self, params: Params, images: Float[Array, "n h w c"], keep: Callable[[Array], Array] | None = None
    ) -> Float[Array, "n t d"]:
        """Token features; ``keep`` may drop tokens after positions are added (masked objectives)."""
        from biasprop import layers

        patches = layers.patchify(4 * (images - 0.5), self.patch)
        return layers.apply(self._build(images.shape[1:]), params, patches, keep)

    def apply(self, params: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Mean-pooled features of a batch."""
        return self.tokens(params, images).mean(axis=1)

    def layers(self, params: Params) -> Params:
        """Embedding and positions are layer 0, each block is one, and the final norm belongs to the last."""

        def number(path: tuple[Any, ...], _: Any) -> int:
            part = path[0].key
            return path[1].key + 1 if part == "blocks" else self.depth if part == "norm" else 0

        return jax.tree_util.tree_map_with_path(number, params)

    def _build(self, shape: tuple[int, ...]) -> Any:
        from biasprop import layers

        inputs = self.patch * self.patch * shape[2]
        tokens = (shape[0] // self.patch) * (shape[1] // self.patch)
        return layers.Blueprint(
            layers.Transformer, (inputs, tokens, self.width, self.depth, self.heads, self.expansion)
        )
