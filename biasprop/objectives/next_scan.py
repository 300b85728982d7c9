"""Temporal pretraining: predict a subject's next scan from the first."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.interfaces import Example, Params, Spec
from biasprop.objectives import token_decoder, weighting


class NextScan(Component):
    """Predicts every pixel of an image of the same subject some months later, through a light decoder.

    Anatomy and growth of the disease can be predicted; light and noise of the later image cannot. Needs an encoder with
    tokens and a generator that renders follow-up images.
    """

    kind: Literal["next_scan"] = "next_scan"
    months: Annotated[float, Field(ge=0, le=1200)] = 48.0
    """Months between the two images; at 0 only light and noise differ."""
    decoder_width: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 32
    """Width of the decoder; even, because it has two heads."""
    decoder_depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Number of decoder blocks."""

    trains: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("follow_up",)

    def incompatibility(self, encoder: Any, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        return token_decoder.incompatibility(self.kind, encoder)

    def init(self, key: Key[Array, ""], encoder: Any, spec: Spec) -> Params:
        """Parameters of the decoder and of the map to pixels."""
        return token_decoder.init(key, encoder, spec, self.decoder_width, self.decoder_depth)

    def loss(
        self,
        encoder: Any,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        follow_up: Example,
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error over all pixels of the later images; deterministic."""
        predicted = token_decoder.predict_patches(
            encoder, params, extra, examples["image"], self.decoder_width, self.decoder_depth
        )
        return weighting.weighted_mean(
            (predicted - token_decoder.target_patches(encoder, follow_up["image"])) ** 2, weight
        )
