"""When fine-tuning in PyTorch ends: at the plateau of the validation loss, or with its schedule. Plain numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Plateau:
    """The package's rule: a constant rate until the smoothed validation loss has stopped falling, then a linear
    cool-down.

    Args:
        told: the recipe's ``stopping``.
        steps: largest number of steps, cool-down included.
        labels: label budget.
    """

    def __init__(self, told: dict[str, Any], steps: int, labels: int):
        self.told, self.latest = told, steps
        self.validated = labels >= told["min_labels"]
        self.smoothed = self.lowest = math.inf
        self.lowest_at = 0
        start = math.ceil(np.float32(steps) / np.float32(1 + told["cooldown"]))
        if not self.validated:
            start = min(max(told["fixed_steps"], told["shortest"]), start)
        self._cool_down(start)

    def _cool_down(self, start: int) -> None:
        length = math.ceil(np.float32(self.told["cooldown"]) * np.float32(start))
        self.start, self.end = start, min(start + length, self.latest)

    def factor(self, step: int) -> float:
        """Factor on the learning rate of a step."""
        return min(max((self.end - step) / max(self.end - self.start + 1, 1), 0.0), 1.0)

    def follow(self, step: int, loss: float) -> None:
        """Take note of the validation loss after this many steps."""
        past = self.told["smoothing"] if math.isfinite(self.smoothed) else 0.0
        self.smoothed = (past * self.smoothed if past else 0.0) + (1 - past) * loss
        if self.smoothed < self.lowest:
            self.lowest, self.lowest_at = self.smoothed, step
        waited = step - self.lowest_at >= self.told["patience"] and step >= self.told["shortest"]
        if self.validated and waited and step < self.start:
            self.latest = self.end
            self._cool_down(step)


class WholeSchedule:
    """All steps of a schedule, whose own rate falls; the validation loss chooses the best of them."""

    validated = True

    def __init__(self, steps: int):
        self.end = steps

    def factor(self, step: int) -> float:
        """Nothing beyond the schedule."""
        return 1.0

    def follow(self, step: int, loss: float) -> None:
        """Nothing to note."""


def rule(recipe: dict[str, Any], labels: int) -> Plateau | WholeSchedule:
    """The rule of a fine-tuning recipe at a label budget."""
    steps = recipe["schedule"]["steps"]
    return Plateau(recipe["stopping"], steps, labels) if recipe["stopping"] else WholeSchedule(steps)
