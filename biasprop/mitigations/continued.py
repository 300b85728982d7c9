"""Continued pretraining: more steps of the same objective on a small balanced cohort (Gururangan et al. 2020)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from biasprop.component import Traced
from biasprop.mitigations.erm import UniformSampling
from biasprop.nn.optimisation import Schedule


class Continued(UniformSampling):
    """Pretraining without mitigation, then a second run of the same objective on a balanced cohort."""

    kind: Literal["continued"] = "continued"
    cohort: Annotated[int, Traced(), Field(ge=16, le=100_000_000)] = 1_000
    """Size of the second cohort, which is disjoint from the first; all subgroups have equal shares."""
    schedule: Schedule = Schedule(steps=400, batch=128, learning_rate=1e-3)
    """Steps, batch size and learning rate of the second run."""

    @model_validator(mode="after")
    def a_batch_is_no_larger_than_the_cohort(self) -> Self:
        """As for the first cohort."""
        if self.schedule.batch > self.cohort:
            raise ValueError(f"schedule.batch = {self.schedule.batch} must be at most cohort = {self.cohort}")
        return self

    def continuation(self, pretraining: Any) -> Any | None:
        """The second stage: equal shares of all subgroups, without mitigation."""
        shares = {name: share * 0 + 1 / len(pretraining.shares) for name, share in pretraining.shares.items()}
        update = {"cohort": self.cohort, "schedule": self.schedule, "shares": shares, "mitigation": UniformSampling()}
        return pretraining.in_domain().model_copy(update=update)
