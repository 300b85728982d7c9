"""The default loop: every step descends the loss of one batch of the whole cohort."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import Params, PretrainingSteps
from biasprop.nn import optimisation
from biasprop.nn.optimisation import State


class Central(Component):
    """All examples in one place, and one optimiser."""

    kind: Literal["central"] = "central"

    @property
    def segment_steps(self) -> int:
        """Steps per segment."""
        return optimisation.SEGMENT

    def start(self, task: PretrainingSteps, params: Params) -> State:
        """The state before the first step."""
        return optimisation.start(task, params)

    def segment(self, task: PretrainingSteps, state: State) -> tuple[State, Float[Array, " s"]]:
        """Take ``segment_steps`` steps; returns the state after them, and the loss of each."""
        return optimisation.segment(task, state)

    def params(self, state: State) -> Params:
        """The parameters after the last step."""
        return state.params
