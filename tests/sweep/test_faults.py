"""A failure of numbers or memory affects the arms it occurs in and no others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.execution import cells, clusters, encoders, progress, sweep
from biasprop.hardware import device
from biasprop.run import main
from biasprop.status import Status
from biasprop.store.encoders import EncoderStore
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.study import arm_status, design
from biasprop.study.load import load_study
from biasprop.training import adapt, pretrain
from biasprop.training.batching import Batch

STUDY = Path(__file__).parents[1] / "torture" / "small.toml"
ONLY: dict[str, list[Any]] = {"pretraining": ["all a", "all b"], "labels": [16]}
"""Four cells of one structure: two batches of width 2, all a beside all b."""


def compute(out: Path, width: int) -> Store:
    study = load_study(STUDY)
    store = study.store(out)
    sweep.run(study, store, only=ONLY, workers=0, width=width, progress=progress.make(quiet=True))
    return Store.open(store, writable=False)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Store]:
    """The study computed without faults, at a given width."""
    made: dict[int, Store] = {}
    return lambda width: (
        made.get(width) or made.setdefault(width, compute(tmp_path_factory.mktemp(f"sound{width}"), width))
    )


def scores(store: Store, name: str) -> bytes:
    """Scores of one mix, as bytes."""
    return open_cube(store.path).score.sel(pretraining=name, labels=16).values.tobytes()


def test_pretext_losses_are_kept_where_a_study_asks(sound: Callable[[int], Store]) -> None:
    kept = open_cube(sound(1).path).pretext_loss.sel(labels=16)
    assert np.isfinite(kept.sel(pretraining=ONLY["pretraining"])).all()
    to_a, to_b = (kept.sel(pretraining=name).mean(["replicate", "protocol"]) for name in ONLY["pretraining"])
    assert to_a.sel(subgroup="a") < to_b.sel(subgroup="a") and to_b.sel(subgroup="b") < to_a.sel(subgroup="b")


def test_repetitions_that_fill_a_batch_are_stored_once(sound: Callable[[int], Store]) -> None:
    for what, count in (("encoder", 4), ("arm", 8)):
        kept = [event[what] for event in sound(3).events() if event["event"] == what]
        assert len(kept) == len(set(kept)) == count


def test_divergence_is_stored_with_step_and_cause_and_affects_no_other_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: Callable[[int], Store]
) -> None:
    """One cell of each batch has a learning rate of NaN; the compiled program is the same."""

    def sick(condition: Any, key: Any) -> Batch:
        schedule = condition.pretraining.schedule
        rate = np.array(schedule.learning_rate)
        rate[0] = np.nan
        broken = schedule.model_copy(update={"learning_rate": rate})
        pretraining = condition.pretraining.model_copy(update={"schedule": broken})
        return Batch(condition.model_copy(update={"pretraining": pretraining}), key)

    clean = sound(2)
    monkeypatch.setattr(cells, "Batch", sick)
    store = compute(tmp_path, 2)
    status = {
        (str(arm.levels["pretraining"]), value)
        for cell, arm in design.arms(load_study(STUDY), ONLY)
        for value in store.status()[store.index(arm.levels, cell.replicate)][: arm.draws]
    }
    assert status == {("all a", Status.DIVERGED), ("all b", Status.OK)}
    assert scores(store, "all b") == scores(clean, "all b"), "other cells of the batch are unchanged"
    assert np.isnan(open_cube(store.path).score.sel(pretraining="all a", labels=16)).all()
    why = "pretraining: the update of step 0 is not finite"
    told = [event["why"] for event in store.events() if event["event"] == "arm" and "why" in event]
    assert told == [{"draw 0": why}] * 4
    causes = arm_status.why_missing(store.path)
    assert causes["pretraining all a, labels 16, protocol full", 1] == {"draw 0": why}
    assert not causes["pretraining all b, labels 16, protocol full", 1]


def test_without_worker_processes_this_one_computes_the_same_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: Callable[[int], Store]
) -> None:
    def none(processes: int) -> NoReturn:
        raise clusters.CannotStart("worker processes cannot be started (reason)")

    class Said(progress.Lines):
        def say(self, line: str) -> None:
            said.append(line)

    said: list[str] = []
    monkeypatch.setattr(clusters, "local_cluster", none)
    study = load_study(STUDY)
    sweep.run(study, study.store(tmp_path), only=ONLY, workers=2, progress=Said(sys.stderr))
    assert [line for line in said if "processes" in line] == [
        "worker processes cannot be started (reason); computing in this process"
    ]
    for name in ONLY["pretraining"]:
        assert scores(Store.open(study.store(tmp_path), writable=False), name) == scores(sound(1), name)

    monkeypatch.setattr(device, "is_cpu", lambda: False)  # whose bits would be other ones
    with pytest.raises(InputError, match=r"^--workers 2: worker processes cannot be .*; give --workers 0 to compute"):
        sweep.run(study, study.store(tmp_path / "accelerator"), only=ONLY, workers=2, progress=Said(sys.stderr))


def test_arms_that_raise_are_named_and_each_cause_is_counted_on_the_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = adapt.Finetuner.adapt

    def broken(tuner: Any, finetuning: Any, draw: int, report: Any) -> Any:
        if finetuning.protocol.kind == "full":
            raise TypeError(f"no {len(tuner.batch.key)} sums\nof what")
        return usual(tuner, finetuning, draw, report)

    monkeypatch.setattr(adapt.Finetuner, "adapt", broken)
    words = [str(STUDY), "--out", str(tmp_path), "-q", "--workers", "0", "--only", "labels=16"]
    assert main([*words, "--only", "pretraining=all a"]) == 3
    lines = capsys.readouterr().err.splitlines()
    name = "all a, replicate 1: pretraining all a, labels 16, protocol full"
    assert f"failed: {name}; all draws: TypeError: no 1 sums" in lines
    assert lines[-1] == "2 arms failed: TypeError: no 1 sums"


def test_causes_that_differ_in_numbers_are_one_and_the_most_frequent_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = design.cells(load_study(STUDY))
    arms = [(cell, arm) for cell in cells for arm in cell.arms][:4]
    causes: list[dict[str, str]] = [
        {"draw 0": "the update of step 7 is not finite"},
        {"draw 0": "the update of step 12 is not finite", "draw 1": "out of luck"},
        {"draw 0": "the update of step 7 is not finite"},
        {},
    ]
    known = {(arm.name, cell.replicate): why for (cell, arm), why in zip(arms, causes, strict=True)}
    monkeypatch.setattr(arm_status, "why_missing", lambda store: known)
    status = {(index, arm.name): Status.OK for index, cell in enumerate(cells) for arm in cell.arms}
    status |= {(cells.index(cell), arm.name): Status.DIVERGED for cell, arm in arms}
    lines, counted = arm_status.missing_results(cells, status, tmp_path)
    assert len(lines) == 4
    assert counted == [
        "1 arm diverged: out of luck",
        f"1 arm diverged: {arm_status.NOT_RECORDED}",
        "3 arms diverged: such as the update of step 7 is not finite",
    ]


def test_a_stored_encoder_of_another_type_or_shape_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = {"map": jax.ShapeDtypeStruct((2, 4, 3), np.float32)}
    monkeypatch.setattr(pretrain, "untrained", lambda batch: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), template))
    kept = EncoderStore(tmp_path)
    cells = Batch(None, jnp.zeros(2))  # type: ignore[arg-type]
    loaded = encoders.BatchEncoders(cells, (), 0, {}, kept, 0, None, None, None)  # type: ignore[arg-type]
    for array, sound in [((4, 3), True), ((4, 5), False), ((4, 3), True)]:
        kept.save("a", {"['map']": np.ones(array, np.float32)}, {})
        assert (loaded._load(["a", "a"]) is not None) == sound
    kept.save("a", {"['map']": np.ones((4, 3), np.float64)}, {})
    assert loaded._load(["a", "a"]) is None


@pytest.mark.parametrize("stage, width", [("pretrain", 3), ("adapt", 2)])
def test_out_of_memory_halves_the_batch_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: Callable[[int], Store], stage: str, width: int
) -> None:
    def short(function: Callable[..., Any], cells: Callable[..., int]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            if cells(*arguments) > 1:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 2147483648 bytes.")
            return function(*arguments)

        return run

    alone = sound(1)
    if stage == "pretrain":
        monkeypatch.setattr(pretrain, "pretrain", short(pretrain.pretrain, lambda batch, *_: len(batch.key)))
    else:
        usual = adapt.Finetuner.adapt
        monkeypatch.setattr(adapt.Finetuner, "adapt", short(usual, lambda tuner, *_: len(tuner.batch.key)))
    store = compute(tmp_path, width)
    cube = open_cube(store.path).sel(labels=16)
    assert (cube.status.sel(pretraining=ONLY["pretraining"]).isel(draw=0) == Status.OK).all()
    widths = {store.fingerprint(int(n))["width"] for n in np.unique(cube.fingerprint) if n}  # type: ignore[index]
    assert widths == {1}
    for name in ONLY["pretraining"]:
        assert scores(store, name) == scores(alone, name), "as if the width had been 1"
    narrowed = [event for event in store.events() if event["event"] == "out of memory"]
    assert {event["width"] for event in narrowed} == set(range(2, width + 1)) and "RESOURCE_EXHAUSTED" in narrowed[0][
        "why"
    ]
    arms = [event["arm"] for event in store.events() if event["event"] == "arm"]
    assert len(arms) == len(set(arms)) == 8


def test_a_cell_that_does_not_fit_alone_has_failed_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = pretrain.pretrain

    def short(batch: Batch, *rest: Any) -> Any:
        if (np.asarray(batch.condition.pretraining.shares["a"]) == 1).any():
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 2147483648 bytes.")
        return usual(batch, *rest)

    monkeypatch.setattr(pretrain, "pretrain", short)
    store = compute(tmp_path, 2)
    status = open_cube(store.path).status.sel(labels=16).isel(draw=0)
    assert (status.sel(pretraining="all a") == Status.FAILED).all()
    assert (status.sel(pretraining="all b") == Status.OK).all()
    narrowed = [event["width"] for event in store.events() if event["event"] == "out of memory"]
    assert sorted(narrowed) == [1, 1, 2, 2]


def test_other_device_errors_are_not_taken_for_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(pretrain, "pretrain", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        compute(tmp_path, 2)
