"""The functions that compute what ``store.variables.DATA`` says is stored, and the data of an arm assembled from them.

To add a stored variable, write its function here, with a line in :data:`OF_ENCODERS` or :data:`OF_ARMS`, and its line
in ``store.variables.DATA``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from biasprop.interfaces import Params
from biasprop.metrics import auc
from biasprop.population.rosters import Roster
from biasprop.store.variables import DATA, Variable
from biasprop.study.conditions import FinetuningCondition, PretrainingCondition
from biasprop.training import pretrain
from biasprop.training.batching import Batch
from biasprop.training.rendering import Latents
from biasprop.training.score import Scores


class EncoderResults(NamedTuple):
    """Pretrained encoders of a batch of cells."""

    batch: Batch
    params: Params
    """``encoder`` and ``extra``."""
    pretext: int
    """Held-out subjects of the pretext loss."""


class ArmResults(NamedTuple):
    """One arm of a batch of cells."""

    draws: list[Scores]
    rosters: dict[str, Roster]
    latents: Latents
    i: int
    """Position of the cell in the batch."""

    def scores(self, name: str) -> np.ndarray:
        """Return one set's log-odds of the cell: [draw, ...]."""
        return np.stack([getattr(draw, name)[self.i] for draw in self.draws])

    def validation(self) -> Roster:
        """Return the validation subjects that the arm uses."""
        roster, count = self.rosters["selection"], self.draws[0].selection_count
        return roster._replace(label=roster.label[:count], subgroup=roster.subgroup[:count])


def _pretext_loss(results: EncoderResults) -> np.ndarray:
    return pretrain.pretext_losses(results.batch, results.params, results.pretext)


def _realised_share(results: EncoderResults) -> np.ndarray:
    return pretrain.realised_shares(results.batch)


OF_ENCODERS: Mapping[str, Callable[[EncoderResults], np.ndarray]] = {
    "realised_share": _realised_share,
    "pretext_loss": _pretext_loss,
}
"""Variable of an encoder -> function that computes it for every cell of a batch: [w, *dims]."""


def _train_auc(results: ArmResults) -> np.ndarray:
    train = results.scores("train")
    roster, labels = results.rosters["train"], train.shape[1]
    recorded = roster.recorded_in(len(results.draws[0].test))[results.i, :labels]
    subgroup = roster.subgroup[:labels]
    subgroups = results.draws[0].test.shape[1]
    return np.stack([auc(train, recorded, subgroup == g) for g in range(subgroups)], axis=-1)


def _selection_score(results: ArmResults) -> np.ndarray:
    return results.scores("selection")[:, : results.draws[0].selection_count]


def _selection_latents(results: ArmResults) -> np.ndarray:
    return results.latents.selection[results.i][:, : results.draws[0].selection_count]


OF_ARMS: Mapping[str, Callable[[ArmResults], np.ndarray]] = {
    "score": lambda results: results.scores("test"),
    "train_auc": _train_auc,
    "separability_score": lambda results: results.draws[0].separability[results.i],
    "label": lambda results: results.rosters["test"].label,
    "latents": lambda results: results.latents.test[results.i],
    "selection_score": _selection_score,
    "selection_label": lambda results: results.validation().label,
    "selection_subgroup": lambda results: results.validation().subgroup,
    "selection_latents": _selection_latents,
    "calibration_score": lambda results: results.scores("calibration"),
    "calibration_label": lambda results: results.rosters["calibration"].label,
    "calibration_subgroup": lambda results: results.rosters["calibration"].subgroup,
    "calibration_latents": lambda results: results.latents.calibration[results.i],
}
"""Variable of an arm -> function that computes it for one cell: [*dims]. ``draw``, ``selection`` and ``calibration``
may be shorter than in the store, which pads them."""


def data_of_encoders(
    results: EncoderResults, cell: PretrainingCondition, arm: FinetuningCondition, sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Return the variables of every encoder of a batch: name -> [w, *dims].

    Args:
        results: of the batch.
        cell, arm: conditions of a cell and of one of its arms; cells of a batch have the same structure.
        sizes: of the store's dims.
    """
    cells = len(results.batch.key)

    def computed(name: str, variable: Variable) -> np.ndarray:
        if exists(name, variable, cell, arm):
            return OF_ENCODERS[name](results).astype(variable.dtype)
        return np.stack([variable.empty(dict(sizes))] * cells)

    return {name: computed(name, variable) for name, variable in DATA.items() if variable.producer == "encoder"}


def data_of_arm(
    results: ArmResults, cell: PretrainingCondition, arm: FinetuningCondition, sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Return the variables of one arm of one cell: name -> [*dims]. Arguments as for :func:`data_of_encoders`."""
    return {
        name: OF_ARMS[name](results).astype(variable.dtype)
        if exists(name, variable, cell, arm)
        else variable.empty(dict(sizes))
        for name, variable in DATA.items()
        if variable.producer != "encoder"
    }


def exists(name: str, variable: Variable, cell: PretrainingCondition, arm: FinetuningCondition) -> bool:
    """Whether a variable is computed under these conditions."""
    if variable.producer == "task" and name not in arm.finetuning.task.stored:
        return False
    if not variable.exists_if:
        return True
    first, *rest = variable.exists_if.split(".")
    value: Any = getattr(cell if first in type(cell).model_fields else arm, first)
    for part in rest:
        value = getattr(value, part)
    return bool(value)
