"""MLP-Mixer (Tolstikhin et al. 2021): tokens talk through an MLP over their places, not by attention."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from biasprop.encoders.patches import PatchEncoder


class Mixer(PatchEncoder):
    """Patchify, mixer, mean-pooled features.

    Its weights belong to places, so it has no positions to learn and cannot leave tokens out (``masked`` refuses it).
    """

    kind: Literal["mixer"] = "mixer"
    token_hidden: Annotated[int, Field(ge=1, le=4096)] = 32
    """Hidden width of the MLPs over places; the default is half that of the width (Tolstikhin et al. 2021, table 1)."""

    def counts(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """How many parameters there are, and how many numbers of an image are kept for the way back."""
        inputs, tokens = self._sizes(shape)
        width, wide, hidden = self.width, self.expansion, self.token_hidden
        block = 2 * tokens * hidden + hidden + width * (2 * wide * width + 5 + wide)
        kept = width * (tokens * (6 + 3 * wide) + 6 * hidden)
        return width * (inputs + 3) + self.depth * block, tokens * width + self.depth * kept

    def _network(self, inputs: int, tokens: int) -> Any:
        from biasprop.nn import layers

        sizes = (inputs, tokens, self.width, self.depth, self.token_hidden, self.expansion)
        return layers.Blueprint(layers.Mixer, sizes)
