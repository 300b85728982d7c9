"""Stores of a study that are filled with invented scores instead of trained ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biasprop.execution.provenance import attributes
from biasprop.status import Status
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.study import Study
from tests.arm_data import random_data


def fill(study: Study, store: Path, cells: Sequence[design.Cell], first: Sequence[int] = ()) -> None:
    """Write every arm of some cells; an arm's scores depend on its levels and replicate alone.

    Args:
        study: whose store; it is created, or grows.
        store: its folder.
        cells: of the study.
        first: status of the first arms; OPEN: not written. All others are OK.
    """
    opened = Store.create_or_grow(store, design.layout(study), attributes(study))
    sizes = opened.layout.sizes
    label = {name: np.arange(sizes[name]) % 2 for name in ("subject", "selection", "calibration")}
    every = [(cell, arm) for cell in cells for arm in cell.arms]
    for position, (cell, arm) in enumerate(every):
        status = first[position] if position < len(first) else Status.OK
        if status == Status.OPEN:
            continue
        draws = arm.draws
        random = np.random.default_rng([cell.replicate, *arm.name.encode()])
        data = random_data(sizes | {"draw": draws}, random)
        data |= {"label": label["subject"], "train_auc": np.full((draws, 2), 0.9, "f4")}
        data["score"] += 2 * label["subject"]
        for name in ("selection", "calibration"):
            data[f"{name}_label"] = label[name]
            data[f"{name}_score"] += 2 * label[name]
        opened.write(arm.levels, cell.replicate, data, [int(status)] * draws, 0.1, {"device": "none"})
