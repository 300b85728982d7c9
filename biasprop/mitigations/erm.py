"""No mitigation: empirical risk minimisation on whoever was drawn."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax
from jaxtyping import Array, Float, Int, Key

from biasprop.component import Component
from biasprop.interfaces import Cohort, Labelled


class Erm(Component):
    """Every labelled subject counts alike (a :class:`biasprop.interfaces.Mitigation` that changes nothing)."""

    kind: Literal["none"] = "none"

    needs_groups: ClassVar[bool] = False
    retrains: ClassVar[bool] = False

    def incompatibility(self, adapter: Any) -> str | None:
        """Why it does not go with a protocol, or None; this goes with every one."""
        return None

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled subjects as they are."""
        return train

    def start(self, train: Labelled) -> dict[str, Any]:
        """Nothing moves beside encoder and head."""
        return {}

    def task(self, task: Any) -> Any:
        """What is minimised, as the protocol says."""
        return task


class AsDrawn(Component):
    """Every member of the cohort counts alike (a :class:`biasprop.interfaces.PretrainingMitigation`)."""

    kind: Literal["none"] = "none"

    needs_subjects: ClassVar[bool] = False

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Members of a batch: anybody, as often as anybody else."""
        return jax.random.randint(key, (n,), 0, cohort.size)

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """How much each member of a batch counts; None where all count alike."""
        return None

    def continuation(self, pretraining: Any) -> Any | None:
        """A second stage of pretraining, or None."""
        return None
