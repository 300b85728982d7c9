"""Continued pretraining: the same objective for some more steps on a small balanced cohort (Gururangan et al. 2020)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from biasprop.component import Traced
from biasprop.mitigations.erm import AsDrawn
from biasprop.nn.optimisation import Schedule


class Continued(AsDrawn):
    """After pretraining as drawn, a second run of the same objective, on the cohort, from where the first one ended."""

    kind: Literal["continued"] = "continued"
    cohort: Annotated[int, Traced(), Field(ge=16, le=100_000_000)] = 1_000
    """Subjects of the second cohort, none of whom is in the first; every subgroup has an equal share."""
    schedule: Schedule = Schedule(steps=400, batch=128, learning_rate=1e-3)
    """How long, in which batches and at which rate."""

    @model_validator(mode="after")
    def a_batch_is_no_larger_than_the_cohort(self) -> Self:
        """As for pretraining itself."""
        if self.schedule.batch > self.cohort:
            raise ValueError(f"schedule.batch = {self.schedule.batch} has to be at most cohort = {self.cohort}")
        return self

    def continuation(self, pretraining: Any) -> Any | None:
        """The second stage."""
        shares = {name: share * 0 + 1 / len(pretraining.shares) for name, share in pretraining.shares.items()}
        update = {"cohort": self.cohort, "schedule": self.schedule, "shares": shares, "mitigation": AsDrawn()}
        return pretraining.in_domain().model_copy(update=update)
