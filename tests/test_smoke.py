"""The main study from the command line, made small: run, found finished, opened."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import biasprop
from biasprop import load_study
from biasprop.execution import progress, sweep
from biasprop.store.store import Store
from biasprop.study import design
from tests.source_tree import ROOT

STUDY = "studies/skin_tone.toml"


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """``python -m biasprop.run`` on the study."""
    line = [sys.executable, "-m", "biasprop.run", STUDY, "--smoke", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=280)


def arms(store: Store) -> Counter[str]:
    """How often each arm was computed."""
    return Counter(event["arm"] for event in store.events() if event["event"] == "arm")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder of stores after one run, and its JSON object."""
    out = tmp_path_factory.mktemp("results")
    done = command("--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "one object alone on stdout"
    return out, json.loads(done.stdout)


def test_the_json_object(ran: tuple[Path, dict]) -> None:
    out, found = ran
    assert set(found) == {"study", "digest", "store", "cells", "estimates", "left_out"} and not found["left_out"]
    assert found["study"] == "skin_tone" and found["digest"].startswith(found["store"].rpartition("-")[2])
    assert Path(found["store"]).parent == out.resolve()
    assert found["cells"]["done"] == found["cells"]["total"] > 0
    needed = {"name", "arm", "value", "low", "high", "method", "replicates", "verdict"}
    assert all(needed <= set(estimate) for estimate in found["estimates"])
    assert [estimate["role"] for estimate in found["estimates"]].count("primary") == 1


def test_the_cube(ran: tuple[Path, dict]) -> None:
    cube = biasprop.open_cube(ran[1]["store"])
    assert tuple(cube.score.dims) == ("pretraining", "labels", "protocol", "replicate", "draw", "subgroup", "subject")
    planned = cube.status != 4
    assert bool((cube.status.where(planned, 1) == 1).all())
    assert bool(np.isfinite(cube.score.where(planned, 0)).all())
    assert list(cube.subgroup.values) == ["light", "dark"]


def test_every_planned_arm_is_there_and_was_computed_once(ran: tuple[Path, dict]) -> None:
    study, store = load_study(ROOT / STUDY, smoke=True), Store.open(ran[1]["store"], writable=False)
    wanted, status = design.arms(study), store.status()
    assert all((status[store.index(arm.levels, cell.replicate)][: arm.draws] == 1).all() for cell, arm in wanted)
    computed = arms(store)
    assert len(computed) == len(wanted) and set(computed.values()) == {1}
    sweep.run(study, store.path, workers=0, progress=progress.make(quiet=True))
    assert arms(store) == computed, "a sweep of what is finished computes nothing"


def test_subjects_are_shared_across_mixes_and_budgets(ran: tuple[Path, dict]) -> None:
    latents = biasprop.open_cube(ran[1]["store"]).latents
    assert bool((latents == latents.isel(pretraining=0, labels=0, protocol=0)).all())
    ita, severity = latents.sel(latent="ita"), latents.sel(latent="severity")
    assert bool((ita.sel(subgroup="light") > ita.sel(subgroup="dark")).all())
    assert bool((severity.sel(subgroup="light") == severity.sel(subgroup="dark")).all())


def test_figures_lie_beside_the_store(ran: tuple[Path, dict]) -> None:
    names = {file.name for file in (Path(ran[1]["store"]) / "figures").iterdir()}
    assert {f"{name}{end}" for name in ("contact_sheet", "persistence", "forest") for end in (".png", ".pdf")} <= names


def test_a_second_run_finds_nothing_to_do(ran: tuple[Path, dict]) -> None:
    out, found = ran
    events = (Path(found["store"]) / "events.jsonl").read_bytes()
    began = time.perf_counter()
    again = command("--out", str(out), "--json")
    assert time.perf_counter() - began < 20  # 3 s on an idle machine
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == found
    assert (Path(found["store"]) / "events.jsonl").read_bytes() == events
