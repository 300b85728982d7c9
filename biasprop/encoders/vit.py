"""Vision transformer (Dosovitskiy et al. 2021) with mean pooling."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from biasprop.encoders.patches import PatchEncoder
from biasprop.interfaces import Spec


class Vit(PatchEncoder):
    """Patchify, transformer, mean-pooled features; tokens can be dropped after the position embedding."""

    kind: Literal["vit"] = "vit"
    heads: Annotated[int, Field(ge=1, le=64)] = 2
    """Attention heads; must divide the width."""

    drops_tokens: ClassVar[bool] = True

    @model_validator(mode="after")
    def heads_divide_width(self) -> Self:
        """The width is split evenly over the heads."""
        if self.width % self.heads:
            raise ValueError(f"heads = {self.heads} must divide width = {self.width}")
        return self

    def _counts(self, spec: Spec) -> tuple[int, int]:
        inputs, tokens = self._sizes(spec["image"].shape)
        width, wide = self.width, self.expansion
        block = width * (width * (4 + 2 * wide) + 9 + wide)
        activations = tokens * width * (10 + 2 * wide) + 2 * self.heads * tokens * tokens
        return width * (inputs + tokens + 3) + self.depth * block, tokens * width + self.depth * activations

    def _network(self, inputs: int, tokens: int) -> Any:
        from biasprop.nn import layers

        sizes = (inputs, tokens, self.width, self.depth, self.heads, self.expansion)
        return layers.Blueprint(layers.Transformer, sizes)
