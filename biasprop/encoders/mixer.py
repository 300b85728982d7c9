"""MLP-Mixer (Tolstikhin et al. 2021): tokens are mixed by an MLP over positions instead of attention."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from biasprop.encoders.patches import PatchEncoder
from biasprop.interfaces import Spec


class Mixer(PatchEncoder):
    """Patchify, mixer, mean-pooled features.

    Its weights are tied to positions, so it has no position embedding and cannot drop tokens; the objective ``masked``
    cannot train it.
    """

    kind: Literal["mixer"] = "mixer"
    token_hidden: Annotated[int, Field(ge=1, le=4096)] = 32
    """Hidden width of the MLPs over positions; default: half the default width (Tolstikhin et al. 2021, table 1)."""

    def _counts(self, spec: Spec) -> tuple[int, int]:
        inputs, tokens = self._sizes(spec["image"].shape)
        width, wide, hidden = self.width, self.expansion, self.token_hidden
        block = 2 * tokens * hidden + hidden + width * (2 * wide * width + 5 + wide)
        activations = width * (tokens * (6 + 3 * wide) + 6 * hidden)
        return width * (inputs + 3) + self.depth * block, tokens * width + self.depth * activations

    def _network(self, inputs: int, tokens: int) -> Any:
        from biasprop.nn import layers

        sizes = (inputs, tokens, self.width, self.depth, self.token_hidden, self.expansion)
        return layers.Blueprint(layers.Mixer, sizes)
