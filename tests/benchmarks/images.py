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
from biasprop.interfaces import Subjects
from biasprop.nn.optimisation import SEGMENT, ConstantSchedule, Schedule
from biasprop.observers import calibration_cache
from biasprop.optimisers import OPTIMISERS
from biasprop.population import rosters
from biasprop.study import design
from biasprop.study.study import Study
from biasprop.training import pretraining_task, rendering
from biasprop.training.batching import Batch, one_cell

AT_ONCE = 1_000
"""Cohort members rendered at once."""

PLAIN = {
    name: Schedule(
        steps=steps, batch=batch, learning_rate=rate, weight_decay=0.05, warmup=0.05, optimiser=OPTIMISERS["adamw"]()
    )
    for name, steps, batch, rate in (
        ("pretraining", 2_200, 128, 2e-3),
        ("pretrained", 1_200, 32, 1e-3),
        ("scratch", 4_800, 32, 1e-3),
    )
}
"""What a user would write without a search: AdamW, cosine decay, all layers at one rate from a head of zeros, and the
parameters of lowest validation loss."""


def export(study: Study, folder: Path, replicates: int, plain: float | None = None) -> float:
    """Write the recipe and the images of a study of contrastive pretraining, linear probe and full fine-tuning.

    Args:
        study: as ``skin_tone``: factors ``pretraining``, ``labels`` and ``protocol``.
        folder: of the arrays.
        replicates: how many of the study's.
        plain: train by :data:`PLAIN`, with this part of its steps; None: as the study does.

    Returns:
        Seconds that rendering took, compilation apart.
    """
    cells = design.cells(study)
    first = [cell for cell in cells if cell.replicate == 0]
    recipe = _recipe(study, first)
    if plain is not None:
        _train_plainly(recipe, plain)
    (folder / "recipe.json").write_text(json.dumps(recipe))
    spent = 0.0
    for replicate in range(replicates):
        key = keys.replicate(study.seed, replicate)
        batches = [_batch(cell.condition, key) for cell in first]
        finetuning = first[0].arms[0].condition.finetuning
        pool = max(budget["train"] for budget in recipe["labels"])
        who = rosters.rosters(finetuning, study.evaluation, list(study.subgroups), pool)
        for _ in range(2 if replicate == 0 else 1):  # what is compiled the first time is timed the second time
            began = time.perf_counter()
            arrays = _rendered(batches[0], who, recipe)
            seconds = time.perf_counter() - began
        spent += seconds
        arrays |= {"train-label": who["train"].recorded, "selection-label": who["selection"].recorded}
        arrays |= {"calibration-subgroup": who["calibration"].subgroup, "test-label": who["test"].label}
        for index, batch in enumerate(batches):
            if not recipe["cells"][index]["pretraining"]:  # a cohort to measure the normalisation on
                batch = _batch(_balanced(first[index].condition), key)
            arrays[f"subgroup-{index}"] = np.asarray(_members(batch, jnp.arange(recipe["cohort"])).subgroup)
        for name, array in arrays.items():
            np.save(folder / f"{replicate}-{name}.npy", array, allow_pickle=False)
    return spent


def _batch(condition: Any, key: Any) -> Batch:
    return one_cell(calibration_cache.with_calibration(condition), key)


def _balanced(condition: Any) -> Any:
    """The same with equal shares in the cohort."""
    equal = dict.fromkeys(condition.generator.subgroups, 1 / len(condition.generator.subgroups))
    balanced = condition.pretraining.in_domain().model_copy(update={"shares": equal, "prevalence": 0.5, "shifts": {}})
    return condition.model_copy(update={"pretraining": balanced})


def _recipe(study: Study, cells: list[design.Cell]) -> dict[str, Any]:
    protocols = {arm.condition.finetuning.protocol.kind: arm.condition.finetuning.protocol for arm in cells[0].arms}
    encoder = study.encoder
    if encoder.kind != "vit":
        raise SystemExit(f"the study in PyTorch has a vit and no {encoder.kind}")
    told = []
    for cell in cells:
        pretraining = cell.condition.pretraining
        own = {"label": cell.label, "cohort": pretraining.cohort, "pretraining": None}
        if pretraining.objective.trains:
            own["pretraining"] = pretraining.objective.model_dump() | {"schedule": schedule_of(pretraining.schedule)}
        told.append(own)
    height, _, channels = study.generator.spec["image"].shape
    sizes = {name: getattr(encoder, name) for name in ("patch", "width", "depth", "heads", "expansion")}
    full = protocols["full"]
    training = {
        name: recipe.model_dump() | {"schedule": schedule_of(recipe.schedule)}
        for name, recipe in (("pretrained", full.pretrained), ("scratch", full.scratch))
    }
    budgets = sorted({int(arm.condition.finetuning.labels) for arm in cells[0].arms})
    splits = [dict(zip(("train", "validation"), study.evaluation.split(budget), strict=True)) for budget in budgets]
    return {
        "subgroups": list(study.subgroups),
        "encoder": {"size": height, "channels": channels, "normalisation": encoder.normalisation.kind} | sizes,
        "features": encoder.features(study.generator.spec),
        "cells": told,
        "cohort": max(cell["cohort"] for cell in told if cell["pretraining"] or encoder.normalisation.of_cohort),
        "labels": [{"budget": budget} | split for budget, split in zip(budgets, splits, strict=True)],
        "segment": SEGMENT,
        "draws": {kind: protocols[kind].draws for kind in ("linear_probe", "full")},
        "linear_probe": protocols["linear_probe"].model_dump(),
        "full": training,
    }


def schedule_of(schedule: Schedule) -> dict[str, Any]:
    """A schedule with the course of its learning rate."""
    return schedule.model_dump() | {"decay": "constant" if isinstance(schedule, ConstantSchedule) else "cosine"}


def _train_plainly(recipe: dict[str, Any], part: float) -> None:
    """Replace how everything is trained, and nothing else: images, network, views, objective, labels, penalties."""
    schedules = {
        name: schedule_of(schedule) | {"steps": whole_segments(schedule.steps, part)}
        for name, schedule in PLAIN.items()
    }
    for cell in recipe["cells"]:
        if cell["pretraining"]:
            cell["pretraining"]["schedule"] = schedules["pretraining"]
    for name, training in recipe["full"].items():
        training |= {"schedule": schedules[name], "stopping": None, "layer_decay": 1.0, "head_first": False}


def whole_segments(steps: int, part: float) -> int:
    """A part of some steps in whole segments, at least one; none of none."""
    return max(1, round(part * steps / SEGMENT)) * SEGMENT if steps else 0


def _rendered(batch: Batch, who: dict[str, rosters.Roster], recipe: dict[str, Any]) -> dict[str, np.ndarray]:
    sets = rendering.render_sets(batch, who)
    chunks = {"train-0": sets.train, "selection": sets.selection, "calibration": sets.calibration}
    chunks |= {f"test-{g}": twins for g, twins in enumerate(sets.test)}
    for draw in range(1, max(recipe["draws"].values())):
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
    return pretraining_task.cohort_members(*batch_alone(batch)[:2], rows)


def batch_alone(batch: Batch) -> Batch:
    """The only cell of a batch, without the axis over cells."""
    return jax.tree.map(lambda leaf: leaf[0], batch)
