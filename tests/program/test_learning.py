"""Pretraining with the shipped settings beats an untrained encoder; takes minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biasprop import keys, load_study
from biasprop.metrics import auc
from biasprop.population import rosters
from biasprop.study import design
from biasprop.study.design import Cell
from biasprop.training import adapt, pretrain
from biasprop.training.batching import one_cell
from tests.program.small_experiment import quiet, scorer

STUDY = load_study(Path(__file__).parents[2] / "studies" / "skin_tone.toml")
SEED = 990_003
"""A seed that no study and no tuning uses."""


def probed(cell: Cell, labels: int) -> np.ndarray:
    """AUC of a linear probe in each subgroup, mean over its draws."""
    batch = one_cell(cell.condition, keys.replicate(SEED, 0))
    params, diverged = pretrain.pretrain(batch, quiet)
    params = params["encoder"]
    assert not diverged[0]
    arm = next(a for a in cell.arms if a.levels["labels"] == labels and a.levels["protocol"] == "linear_probe")
    finetuning, evaluation = arm.condition.finetuning, arm.condition.evaluation
    who = rosters.rosters(finetuning, evaluation, list(STUDY.subgroups), labels)
    one = adapt.Finetuner(batch, params, who, evaluation)
    draws = [scorer(one).score(one.adapt(finetuning, draw, quiet)) for draw in range(arm.draws)]
    return np.mean([auc(draw.test[0], who["test"].label) for draw in draws], axis=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_contrastive_features_beat_the_untrained_encoder_in_both_subgroups() -> None:
    cells = {str(cell.arms[0].levels["pretraining"]): cell for cell in design.cells(STUDY) if cell.replicate == 0}
    gain = probed(cells["dark 0.5"], 1000) - probed(cells["scratch"], 1000)
    assert gain.shape == (2,) and (gain > 0.05).all(), gain
