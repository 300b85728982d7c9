"""What the PyTorch peer needs of a study: its recipe as JSON, and every image it looks at, rendered by our generator.

Everyone in a cohort is rendered once in every subgroup, because all mixes of a replicate share subjects: the peer pays
for rendering once a replicate.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biasprop import keys
from biasprop.difficulty import calibration_cache
from biasprop.interfaces import Subjects
from biasprop.population import rosters
from biasprop.study import design
from biasprop.study.study import Study
from biasprop.training import pretraining_task, rendering
from biasprop.training.batching import Batch, one_cell

AT_ONCE = 1_000
"""Cohort members rendered at once."""


def export(study: Study, folder: Path, replicates: int) -> float:
    """Write the recipe and the images of a study of contrastive pretraining, linear probe and full fine-tuning.

    Args:
        study: as ``skin_tone``: factors ``pretraining``, ``labels`` and ``protocol``.
        folder: of the arrays.
        replicates: how many of the study's.

    Returns:
        Seconds that rendering took, compilation apart.
    """
    cells = design.cells(study)
    first = [cell for cell in cells if cell.replicate == 0]
    recipe = _recipe(study, first)
    (folder / "recipe.json").write_text(json.dumps(recipe))
    spent = 0.0
    for replicate in range(replicates):
        key = keys.replicate(study.seed, replicate)
        batches = [_batch(cell.condition, key) for cell in first]
        finetuning = first[0].arms[0].condition.finetuning
        who = rosters.rosters(finetuning, study.evaluation, list(study.subgroups), max(recipe["labels"]))
        for _ in range(2 if replicate == 0 else 1):  # what is compiled the first time is timed the second time
            began = time.perf_counter()
            arrays = _rendered(batches[0], who, recipe)
            seconds = time.perf_counter() - began
        spent += seconds
        arrays |= {"train-label": who["train"].recorded, "selection-label": who["selection"].recorded}
        arrays |= {"calibration-subgroup": who["calibration"].subgroup, "test-label": who["test"].label}
        for index, batch in enumerate(batches):
            if recipe["cells"][index]["pretraining"]:
                rows = jnp.arange(recipe["cohort"])
                arrays[f"subgroup-{index}"] = np.asarray(_members(batch, rows).subgroup)
        for name, array in arrays.items():
            np.save(folder / f"{replicate}-{name}.npy", array, allow_pickle=False)
    return spent


def _batch(condition: Any, key: Any) -> Batch:
    return one_cell(calibration_cache.with_calibration(condition), key)


def _recipe(study: Study, cells: list[design.Cell]) -> dict[str, Any]:
    protocols = {arm.condition.finetuning.protocol.kind: arm.condition.finetuning.protocol for arm in cells[0].arms}
    encoder = study.encoder
    if encoder.kind != "vit":
        raise SystemExit(f"the study in PyTorch has a vit and no {encoder.kind}")
    told = []
    for cell in cells:
        pretraining = cell.condition.pretraining
        objective = pretraining.objective
        own = {"cohort": pretraining.cohort, "schedule": pretraining.schedule.model_dump()}
        told.append({"label": cell.label, "pretraining": own | objective.model_dump() if objective.trains else None})
    height, _, channels = study.generator.spec["image"].shape
    sizes = {name: getattr(encoder, name) for name in ("patch", "width", "depth", "heads", "expansion")}
    return {
        "subgroups": list(study.subgroups),
        "encoder": {"size": height, "channels": channels} | sizes,
        "features": encoder.features(study.generator.spec),
        "cells": told,
        "cohort": max(cell["pretraining"]["cohort"] for cell in told if cell["pretraining"]),
        "labels": sorted({int(arm.condition.finetuning.labels) for arm in cells[0].arms}),
        "evaluation": study.evaluation.model_dump(),
        **{kind: protocol.model_dump() for kind, protocol in protocols.items()},
    }


def _rendered(batch: Batch, who: dict[str, rosters.Roster], recipe: dict[str, Any]) -> dict[str, np.ndarray]:
    sets = rendering.render_sets(batch, who)
    chunks = {"train-0": sets.train, "selection": sets.selection, "calibration": sets.calibration}
    chunks |= {f"test-{g}": twins for g, twins in enumerate(sets.test)}
    for draw in range(1, recipe["linear_probe"]["draws"]):
        chunks[f"train-{draw}"] = rendering.rendered(batch, rendering.labelled_key(batch, draw), who["train"])
    size = {name: len(who[name.partition("-")[0]].label) for name in chunks}
    found = {
        name: rendering.concatenated([part["image"] for part in chunk], size[name])[0] for name, chunk in chunks.items()
    }
    for g in range(len(recipe["subgroups"])):
        parts = [np.asarray(_cohort(batch, np.arange(i, i + AT_ONCE), g)) for i in range(0, recipe["cohort"], AT_ONCE)]
        found[f"cohort-{g}"] = np.concatenate(parts)[: recipe["cohort"]]
    return found


@jax.jit
def _cohort(batch: Batch, rows: Any, subgroup: Any) -> Any:
    members = _members(batch, rows)
    return jax.vmap(batch_alone(batch).condition.generator.render)(
        members._replace(subgroup=jnp.full_like(members.subgroup, subgroup))
    )


def _members(batch: Batch, rows: Any) -> Subjects:
    return pretraining_task.cohort_members(*batch_alone(batch), rows)


def batch_alone(batch: Batch) -> Batch:
    """The only cell of a batch, without the axis over cells."""
    return jax.tree.map(lambda leaf: leaf[0], batch)
