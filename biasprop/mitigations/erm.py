"""No mitigation: empirical risk minimisation, the base class of mitigations in each stage."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
from jaxtyping import Array, Float, Int, Key

from biasprop.component import Component
from biasprop.interfaces import Cohort, FinetuningLoss, FineTuningMethod, Labelled, ValidatedTask


class Erm(Component):
    """Equal weights of all labelled subjects (a :class:`biasprop.interfaces.Mitigation` that changes nothing)."""

    kind: Literal["none"] = "none"

    needs_groups: ClassVar[bool] = False

    def incompatibility(self, protocol: FineTuningMethod) -> str | None:
        """Why it cannot be combined with a protocol: None, because it can with every one."""
        return None

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled set, unchanged."""
        return train

    def start(self, train: Labelled) -> dict[str, Any]:
        """No trainable parameters beside encoder and head."""
        return {}

    def training(self, base: FinetuningLoss) -> ValidatedTask:
        """The protocol's loss, unchanged."""
        return base


class UniformSampling(Component):
    """Uniform sampling of the cohort and equal weights.

    It is a :class:`biasprop.interfaces.PretrainingMitigation` that changes nothing.
    """

    kind: Literal["none"] = "none"

    needs_subjects: ClassVar[bool] = False

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Indices of a batch, uniform over the cohort."""
        return jax.random.randint(key, (n,), 0, cohort.size)

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """Loss weights of a batch; None for equal weights."""
        return None

    def continuation(self, pretraining: Any) -> Any | None:
        """A second stage of pretraining, or None."""
        return None
