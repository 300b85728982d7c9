"""An interrupted pretraining run resumes from its checkpoint and gives the same bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biasprop.execution import checkpoint
from biasprop.execution.checkpoint import Checkpoint
from biasprop.nn import optimisation
from biasprop.store.encoders import EncoderStore
from biasprop.training import batching, pretrain, pretraining_task
from biasprop.training.batching import Batch
from tests.members import batch, condition, member, same
from tests.program.small_experiment import quiet

KEYS = {1: ["a/replicate-0"], 2: ["a/replicate-0", "a/replicate-1"]}


@pytest.fixture
def cells(request: pytest.FixtureRequest) -> Batch:
    """Cells that train for three segments."""
    parts = {"generator": member("generators", "gaussian"), "encoder": member("encoders", "linear")}
    small = condition("reconstruction", **parts, steps=3 * optimisation.SEGMENT)
    return batch(*((small, replicate) for replicate in range(request.param)))


def cut_short(cells: Batch, at: int, kept: Checkpoint) -> None:
    """Interrupt pretraining at the segment that begins at this step."""

    def report(stage: str, step: int, steps: int) -> None:
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(cells, report, kept)


@pytest.mark.parametrize("cells", [1, 2], indirect=True)
def test_a_resumed_run_gives_the_same_bits(cells: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.0)
    store, events, steps = EncoderStore(tmp_path), [], []
    keys = KEYS[len(cells.key)]
    cut_short(cells, 2 * optimisation.SEGMENT, Checkpoint(store, keys, events.append))
    assert not events and len(list(tmp_path.rglob("*.training.npz"))) == 1
    resumed = Checkpoint(store, keys, events.append)
    params, diverged = pretrain.pretrain(cells, lambda _, step, __: steps.append(step), resumed)
    assert steps == [2 * optimisation.SEGMENT]
    assert [(event["event"], event["step"]) for event in events] == [("resumed", 2 * optimisation.SEGMENT)]
    assert same(params, pretrain.pretrain(cells, quiet)[0]) and diverged == [""] * len(keys)
    resumed.drop()
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("cells", [1], indirect=True)
def test_a_damaged_or_foreign_state_is_not_resumed(
    cells: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.0)
    lines: list[str] = []
    events: list[Any] = []
    store = EncoderStore(tmp_path, lines.append)
    kept = Checkpoint(store, KEYS[1], events.append)
    cut_short(cells, optimisation.SEGMENT, kept)
    (file,) = tmp_path.rglob("*.training.npz")
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    fresh = pretrain.pretrain(cells, quiet)[0]
    assert same(pretrain.pretrain(cells, quiet, kept)[0], fresh) and len(lines) == 1 and not events
    store.save(f"{KEYS[1][0]}.training", {"a": np.zeros(3, "f4")}, {})
    assert same(pretrain.pretrain(cells, quiet, kept)[0], fresh) and not events


@pytest.mark.parametrize("cells", [1], indirect=True)
def test_states_are_stored_at_the_stated_interval(
    cells: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    kept = Checkpoint(EncoderStore(tmp_path), KEYS[1], print)
    state = batching.over_cells(optimisation.start)(pretraining_task.PretrainingTask(*cells), pretrain.untrained(cells))
    for seconds, count in (
        (checkpoint.INTERVAL_S - 1, 0),
        (checkpoint.INTERVAL_S, 1),
        (2 * checkpoint.INTERVAL_S - 1, 1),
    ):
        now[0] = seconds
        kept.keep(state, "pretrain")
        assert len(list(tmp_path.rglob("*.npz"))) == count
        for file in tmp_path.rglob("*.npz") if seconds == checkpoint.INTERVAL_S else ():
            file.touch()
    assert checkpoint.INTERVAL_S <= 300, "methods.md says five minutes"
