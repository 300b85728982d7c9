"""A small experiment: two label budgets, both protocols, few subjects."""

from __future__ import annotations

from typing import Any

import numpy as np

from biasprop.population import rosters
from biasprop.population.rosters import Roster
from biasprop.protocols import PROTOCOLS
from biasprop.study.conditions import Evaluation, Finetuning
from biasprop.training import pretrain as stages
from biasprop.training.adapt import Finetuner
from biasprop.training.batching import Batch
from biasprop.training.score import Scorer, Scores
from tests.members import member

EVALUATION = Evaluation(test=20, selection=12, calibration=24)
POOL = 24
BRIEF = {"schedule": {"steps": 6, "batch": 8}, "augmentation": {}}


def quiet(stage: str, step: int, steps: int) -> None:
    """Report nothing."""


def protocol(kind: str) -> Any:
    """A protocol with short recipes and two draws, where it has such fields."""
    fields = PROTOCOLS[kind].model_fields
    brief = {name: BRIEF for name in ("pretrained", "scratch") if name in fields}
    return member("protocols", kind, **brief | ({"draws": 2} if "draws" in fields else {}))


def finetuning(kind: str, labels: int = 16) -> Finetuning:
    """Balanced labels for one protocol."""
    return Finetuning(labels=labels, shares={"a": 0.5, "b": 0.5}, protocol=protocol(kind))


def small_rosters() -> dict[str, Roster]:
    """Rosters of all sets; always the same."""
    return rosters.rosters(finetuning("linear_probe"), EVALUATION, ["a", "b"], POOL)


def pretrain(batch: Batch, largest: int = 64) -> Any:
    """Encoder parameters of every cell."""
    return stages.pretrain(batch, quiet, largest=largest)[0]["encoder"]


def finetuner(batch: Batch, params: Any) -> Finetuner:
    """A finetuner of the batch."""
    return Finetuner(batch, params, small_rosters(), EVALUATION)


def scorer(one: Finetuner) -> Scorer:
    """A scorer with the images of a finetuner."""
    return Scorer(one.batch, one.params, one.rosters, one.sets)


def scores(one: Finetuner, kind: str, labels: int = 16) -> list[Scores]:
    """All draws of an arm."""
    arm = finetuning(kind, labels)
    score_arm = scorer(one)
    return [score_arm.score(one.adapt(arm, draw, quiet)) for draw in range(arm.protocol.draws)]


def numbers(drawn: list[Scores]) -> list[np.ndarray]:
    """Every stored number of an arm, in order."""
    return [np.asarray(values) for draw in drawn for name, values in draw._asdict().items() if name != "diverged"]
