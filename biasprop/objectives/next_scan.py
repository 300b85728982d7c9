"""Temporal pretraining: see a subject once, predict the subject's next scan."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Params
from biasprop.objectives import token_decoder, weighting


class NextScan(Component):
    """Predicts every pixel of the image of the same subject some months later, through a light decoder.

    The subject and how far its disease will have grown can be predicted; light and noise of the later image cannot.
    Needs an encoder with tokens and a generator whose subjects can be imaged again.
    """

    kind: Literal["next_scan"] = "next_scan"
    months: Annotated[float, Field(ge=0, le=1200)] = 48.0
    """Time between the two images; at 0 only light and noise differ."""
    decoder_width: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 32
    """Width of the decoder; even, because it has two heads."""
    decoder_depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Blocks of the decoder."""

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("follow_up",)

    def incompatibility(self, encoder: Any, shape: tuple[int, int, int]) -> str | None:
        """Why an encoder of images of this shape cannot be trained by this objective, or None."""
        return token_decoder.incompatibility(self.kind, encoder)

    def init(self, key: Key[Array, ""], encoder: Any, shape: tuple[int, int, int]) -> Params:
        """The decoder and the map back to pixels."""
        return token_decoder.init(key, encoder, shape, self.decoder_width, self.decoder_depth)

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        images: Float[Array, "n h w c"],
        key: Key[Array, ""],
        follow_up: Float[Array, "n h w c"],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error over all pixels of the later images; nothing in it is random."""
        told = token_decoder.predicted(encoder, params, extra, images, self.decoder_width, self.decoder_depth)
        return weighting.mean((told - token_decoder.target(encoder, follow_up)) ** 2, weight)
