"""The contract of tasks, over their table."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import biasprop
from biasprop.component import InputError
from biasprop.execution.variables import exists
from biasprop.metrics import METRICS
from biasprop.statistics.measures import measure
from biasprop.store.variables import VARIABLES
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.tasks import TASKS
from tests.members import member, same
from tests.program.test_feature_vectors import STUDY
from tests.source_tree import ROOT

N = 200
_draws = np.random.default_rng(2)
FEATURES = jnp.asarray(_draws.normal(size=(N, 3)), jnp.float32)
TARGETS = jnp.asarray(FEATURES[:, 0] + 0.5 * _draws.normal(size=N) > 0, jnp.int32)


@pytest.mark.parametrize("kind", TASKS)
def test_stored_variables_and_metrics_exist(kind: str) -> None:
    task = member("tasks", kind)
    assert set(task.stored) <= set(VARIABLES)
    assert {need for metric in METRICS.values() for need in metric.needs} <= set(task.provides)
    assert task.disease_index(("first", "second")) is None


@pytest.mark.parametrize("kind", TASKS)
def test_a_fit_lowers_the_loss_of_the_first_rows_and_ignores_the_others(kind: str) -> None:
    task = member("tasks", kind)
    start, count = task.head(FEATURES.shape[1]), jnp.int32(150)
    head = task.fit(FEATURES, TARGETS, count, 1e-2)

    def loss(one) -> float:
        return float(task.loss(one(FEATURES[:150]), TARGETS[:150]).mean())

    assert task.loss(head(FEATURES), TARGETS).shape == (N,) and loss(head) < 0.8 * loss(start)
    assert same(head, task.fit(FEATURES.at[150:].set(9.0), TARGETS.at[150:].set(0), count, 1e-2))
    slopes = jax.grad(lambda one: task.loss(one(FEATURES), TARGETS).mean())(start)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("kind", TASKS)
def test_weights_are_repetitions(kind: str) -> None:
    task = member("tasks", kind)
    twice = jnp.where(jnp.arange(N) < 50, 2.0, 1.0)
    weighted = task.fit(FEATURES, TARGETS, jnp.int32(N), 1e-2, twice)
    rows = jnp.concatenate([jnp.arange(N), jnp.arange(50)])
    repeated = task.fit(FEATURES[rows], TARGETS[rows], jnp.int32(N + 50), 1e-2)
    assert np.allclose(weighted(FEATURES), repeated(FEATURES), atol=1e-3)


SKIN_TONE = ROOT / "studies" / "skin_tone.toml"


def test_estimands_are_on_the_link_of_the_task_unless_they_name_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS["disease"], "link", "auc")
    assert {estimand.scale for estimand in load_study(SKIN_TONE).estimands} == {"auc"}
    monkeypatch.setattr(TASKS["disease"], "link", "brier")
    with pytest.raises(InputError, match="needs a margin, and the scale brier has no default"):
        load_study(SKIN_TONE)


def test_a_scale_needs_what_the_task_provides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY + 'scale = "own_sensitivity"\nmargin = 0.1\n')
    load_study(path)
    monkeypatch.setattr(TASKS["disease"], "provides", ("labels",))
    with pytest.raises(InputError, match="own_sensitivity needs threshold, which the task disease does not provide"):
        load_study(path)


def test_variables_that_the_task_does_not_store_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(SKIN_TONE)
    cell, arm = study.pretraining_condition(), study.finetuning_condition()
    of_task = {name for name, variable in VARIABLES.items() if variable.producer == "task"}
    assert of_task == set(arm.finetuning.task.stored)
    monkeypatch.setattr(TASKS["disease"], "stored", ("score", "label"))
    there = {name for name, variable in VARIABLES.items() if exists(name, variable, cell, arm)}
    assert there & of_task == {"score", "label"} and {"latents", "realised_share"} <= there


def test_an_unknown_disease_is_refused() -> None:
    with pytest.raises(
        InputError, match="dermoscopy has no disease 'melanom'; allowed: melanoma; did you mean melanoma"
    ):
        load_study(SKIN_TONE, ("finetuning.task={kind='disease', disease='melanom'}",))


def test_tasks_share_an_encoder_and_are_judged_by_their_own_target(tmp_path: Path) -> None:
    """One cell has the arms of both tasks; each reaches what theory says of its disease, whose axes are the other's
    noise."""
    path = tmp_path / "diseases.toml"
    target = 'set = {{ "finetuning.task" = {{ kind = "disease", disease = "{0}" }} }}'
    levels = [f'{{ name = "{name}", {target.format(name)} }}' for name in ("first", "second")]
    before, _, after = STUDY.replace("angle = 90.0", "").partition("[factors.labelled]")
    estimands = after.partition("[[estimands]]")[2].replace('labelled = "even"', 'target = "first"')
    path.write_text(f"{before}[factors.target]\nlevels = [{', '.join(levels)}]\n[[estimands]]{estimands}")
    study = load_study(path)
    cells = design.cells(study)
    assert len(cells) == study.replicates and all(len(cell.arms) == 2 for cell in cells)
    cube = biasprop.run_study(path, tmp_path, workers=0).load()
    auc = measure(cube, 0.8)["auc"].mean(["replicate", "draw"])
    assert np.allclose(auc, study.generator.ideal_auc(study.generator.representative("a")), atol=0.02)
    assert not np.allclose(cube["score"].isel(target=0), cube["score"].isel(target=1), atol=0.5)
