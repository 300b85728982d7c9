"""The command line: light to import, a plan that writes nothing, a report, exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from biasprop import run
from biasprop.arguments import arguments
from biasprop.execution import progress
from biasprop.nn.optimisation import Schedule
from biasprop.report import figures
from biasprop.report.figures import draw_all
from biasprop.store.store import Store
from biasprop.study import design, plan
from biasprop.study.load import load_study
from biasprop.study.study import Study
from biasprop.study.timings import Timings
from tests.filled import fill

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "inputs" / "example.toml"
HEAVY = ("jax", "pydantic", "numpy", "xarray", "zarr", "scipy", "rich", "matplotlib", "flax", "optax", "pandas")


def test_help_and_wrong_arguments_import_nothing_heavy() -> None:
    code = (
        "import sys, contextlib, io\n"
        "import biasprop, biasprop.run\n"
        "for words in (['--help'], ['--smok']):\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as text, "
        "contextlib.redirect_stderr(text):\n"
        "        biasprop.run.main(words)\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_former_spellings_of_options_are_accepted_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments().parse_args(["x.toml", "--power", "0.1"]).precision == 0.1
    assert arguments().parse_args(["x.toml", "--ledger"]).difficulty
    with pytest.raises(SystemExit):
        run.main(["--help"])
    text = capsys.readouterr().out
    assert "--precision" in text and "--power" not in text and "--ledger" not in text


@pytest.mark.parametrize(
    ("wrong", "meant"), [("--precison", "--precision"), ("--powr", "--precision"), ("--legder", "--difficulty")]
)
def test_a_misspelt_option_is_corrected_to_its_current_name(
    wrong: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run.main(["x.toml", wrong])
    assert left.value.code == 2 and capsys.readouterr().err.endswith(f"; did you mean {meant}?\n")


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run.main(["--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    for option in (
        "--smoke",
        "--scale",
        "--plan",
        "--list",
        "--set",
        "--only",
        "--replicates",
        "--workers",
        "--precision",
        "--difficulty",
    ):
        assert option in text
    for option in ("--out", "--json", "--netcdf", "-q", "-v"):
        assert option in text


def test_plan_and_list_say_what_there_is_and_make_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.main([str(EXAMPLE), "--plan", "--only", "protocol=full"]) == 0
    text = capsys.readouterr().out
    assert "24 of 24 to do" in text and "96 of 96 to do" in text
    assert "from numbers of pixels and steps" in text and "does not exist yet" in text and "an assumed sd" in text
    assert run.main([str(EXAMPLE), "--list"]) == 0
    assert capsys.readouterr().out.count("  open ") == 192
    assert list(tmp_path.iterdir()) == []


def test_a_plan_uses_timings_recorded_here(tmp_path: Path) -> None:
    study = load_study(EXAMPLE)
    cells = design.cells(study)
    timings = Timings(tmp_path)
    for cell in cells:
        timings.record_pretraining(cell.condition, 12.0)
        for arm in cell.arms:
            timings.record_arm(cell.condition, arm.condition, 0.5)
    timings.save()
    planned = plan.plan(study, cells, tmp_path, workers=1)
    assert planned.seconds == pytest.approx(18 * 12.0 + 192 * 0.5)  # scratch is not pretrained
    assert planned.measured == pytest.approx(1.0)
    (tmp_path / "timings.json").write_text("damaged")
    assert plan.plan(study, cells, tmp_path, workers=1).measured == 0.0


def test_a_short_run_starts_no_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biasprop.hardware.device.processes", lambda: 4)
    small, whole = load_study(EXAMPLE, smoke=True), load_study(EXAMPLE)
    assert plan.plan(small, design.cells(small), tmp_path).workers == 0
    assert plan.plan(small, design.cells(small), tmp_path, workers=2).workers == 2, "asked for"
    assert plan.plan(whole, design.cells(whole), tmp_path).workers == 4


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A sweep that fills the store with noise instead of training; gives the stores it was called for."""
    calls: list[str] = []

    def sweep(study: Study, store: Path, *, only: dict, progress: progress.Progress, **how: Any) -> list[str]:
        calls.append(str(store))
        cells = design.cells(study, only)
        progress.start(len(cells), 0)
        fill(study, store, cells, [2] if "diverge" in study.title else [])
        for cell in cells:
            progress.cell(cell.name, progress_done, 1, 1)
        return []

    progress_done = progress.DONE
    monkeypatch.setitem(sys.modules, "biasprop.execution.sweep", types.SimpleNamespace(run=sweep))
    monkeypatch.setattr("biasprop.execution.sweep", sys.modules["biasprop.execution.sweep"], raising=False)
    monkeypatch.setattr("biasprop.report.figures.draw_all", lambda *_, **__: [])
    return calls


def test_a_run_reports_one_json_object_and_a_second_run_computes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str]
) -> None:
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path), "--json"]
    assert run.main(words) == 0
    first = capsys.readouterr()
    told = json.loads(first.out)
    assert told["study"] == "example" and told["cells"] == {"done": 8, "total": 8}
    assert Path(told["store"]).is_absolute() and Path(told["store"]).is_dir()
    assert {row["name"] for row in told["estimates"]} == {"swap contrast", "everywhere", "retention"}
    assert all({"arm", "value", "low", "high", "method", "replicates", "verdict"} <= set(r) for r in told["estimates"])
    assert "cells 8/8" in first.err
    assert run.main(words) == 0
    second = capsys.readouterr()
    assert len(sweeps) == 1
    assert second.out == first.out
    assert "0 of 8 cells to do" in second.err
    page = Path(told["store"]) / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>") and "report page" not in second.err
    assert run.main(words[:-1]) == 0
    assert f"report page: {page}" in capsys.readouterr().err.splitlines()


def test_a_figure_that_fails_costs_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(cube: Any, estimates: Any, folder: Path, study: Any) -> list[Path]:
        def broken(*_: Any) -> Any:
            raise ValueError("no such axis")

        return draw_all(cube, estimates, folder, study, {"forest": broken})

    monkeypatch.setattr(figures, "draw_all", fails)
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path)]
    for more in ([], ["-q"], ["--json"]):  # also where the numbers come from the cache
        with pytest.raises(ExceptionGroup, match="1 of 1 figures"):  # exit code 1, with a traceback
            run.main([*words, *more, "--csv", str(tmp_path / "all.csv")])
        told = capsys.readouterr()
        assert "swap contrast" in told.out and (tmp_path / "all.csv").is_file()
        assert "no figure forest: ValueError: no such axis" in told.err.splitlines()
        (tmp_path / "all.csv").unlink()
    assert len(sweeps) == 1


def test_a_plan_takes_the_sd_from_the_report_of_the_stored_scores_or_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str]
) -> None:
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path)]
    assert run.main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    primary = next(row for row in report["estimates"] if row["role"] == "primary")
    measured = f"the stored sd of {primary['se'] * primary['replicates'] ** 0.5:.3g}"
    (cache,) = Path(report["store"]).glob("cache/*.json")
    foreign = json.loads(cache.read_text())
    foreign["content"]["estimates"] = [row | {"se": 9.0} for row in foreign["content"]["estimates"]]
    cache.with_name("0" * 32 + ".json").write_text(json.dumps(foreign))  # newer, and of other scores
    assert run.main([*words, "--plan"]) == 0
    assert measured in capsys.readouterr().out
    assert run.main([*words, "--plan", "--set", "replicates=3"]) == 0
    assert "an assumed sd" in capsys.readouterr().out, "another study"
    cache.unlink()
    assert run.main([*words, "--plan"]) == 0
    assert "an assumed sd" in capsys.readouterr().out


@pytest.mark.slow
def test_a_damaged_arm_of_a_finished_study_is_named_and_computed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str]
) -> None:
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path), "--json"]
    assert run.main(words) == 0
    first = json.loads(capsys.readouterr().out)
    chunk = next(
        file for file in sorted((Path(first["store"]) / "cube.zarr" / "score" / "c").rglob("*")) if file.is_file()
    )
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0x10
    chunk.write_bytes(content)
    told = "damaged, to be recomputed: pretraining=all light, labels=16, protocol=linear_probe, replicate=0"
    for mended in (False, True):
        assert run.main(words) == 0
        again = capsys.readouterr()
        assert len(sweeps) == 2 and json.loads(again.out) == first
        assert (told in again.err) != mended and f"{0 if mended else 1} of 8 cells to do" in again.err
    events = Store.open(first["store"], writable=False).events()
    assert [event["replicate"] for event in events if event["event"] == "damaged"] == [0]


def test_tables_go_to_stdout_and_quiet_leaves_stderr_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str]
) -> None:
    assert run.main([str(EXAMPLE), "--smoke", "--out", str(tmp_path), "-q"]) == 0
    shown = capsys.readouterr()
    assert "Estimates" in shown.out and "AUC light" not in shown.out and shown.out.count("\n") <= 40
    assert shown.err == ""
    assert run.main([str(EXAMPLE), "--smoke", "--out", str(tmp_path), "-v"]) == 0
    every = capsys.readouterr().out
    assert "Estimates" in every and "AUC light" in every and every.count("\n") > 40


@pytest.mark.slow
def test_a_ledger_is_kept_with_every_run_and_printed_with_a_learner_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biasprop.observers.learner.SCHEDULE", Schedule(steps=50, batch=32))
    monkeypatch.setattr("biasprop.generators.dermoscopy.LESIONS", 2)
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path)]
    assert run.main([*words, "--difficulty", "-q"]) == 0, "without a store"
    assert "learner" in capsys.readouterr().out and list(tmp_path.iterdir()) == []
    assert run.main([*words, "-v"]) == 0
    shown = capsys.readouterr().out
    assert "Difficulty ledger" in shown and "Terms of each gap" in shown
    assert shown.index("The swap contrast comes first") < shown.index("Estimates.")
    (store,) = tmp_path.glob("example-*")
    (file,) = store.glob("ledger.json")
    kept = file.read_bytes()
    assert run.main([*words, "--difficulty", "--json", "-q"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["ledger"]["entries"]
    assert {"lower", "upper", "model", "learner", "separability"} == {row["kind"] for row in entry["rows"]}
    file.write_bytes(kept[:50])
    assert run.main([*words, "-v"]) == 0
    assert capsys.readouterr().out == shown and file.read_bytes() == kept


def test_diverged_arms_are_named_and_give_exit_code_3_every_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str]
) -> None:
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path), "--set", "title=may diverge", "--only", "labels=16"]
    for _ in range(2):
        assert run.main(words) == 3
        err = capsys.readouterr().err
        assert "diverged: all light, replicate 0: pretraining all light, labels 16, protocol linear_probe" in err
    assert len(sweeps) == 1
    assert run.main([*words, "--list"]) == 0
    assert capsys.readouterr().out.count("diverged") == 1


def test_an_interruption_prints_the_command_that_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweeps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("biasprop.execution.sweep.run", interrupted)
    words = [str(EXAMPLE), "--smoke", "--out", str(tmp_path), "--only", "pretraining=all dark"]
    assert run.main(words) == 130
    told = capsys.readouterr().err
    assert f"python -m biasprop.run {EXAMPLE} --smoke" in told and "'pretraining=all dark'" in told


def test_a_bug_is_no_bad_input(tmp_path: Path, sweeps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("biasprop.execution.sweep.run", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run.main([str(EXAMPLE), "--smoke", "--out", str(tmp_path)])


def test_progress_is_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    shown = progress.make(stream=stream)
    shown.start(3, 1)
    shown.cell("a", "pretraining", 50, 100)
    shown.arm("a: 50 labels", 1, 2.0)
    shown.arm("a: 200 labels", 2, 2.0)
    shown.cell("a", progress.DONE, 1, 1)
    monkeypatch.setattr(progress, "HEARTBEAT_S", 0.0)
    shown.cell("b", "pretraining", 50, 100)
    shown.finish()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "diverged: a: 200 labels"
    assert lines[1].startswith("cells 2/3 a (about ")
    assert lines[2].startswith("cells 2/3 running: b: pretraining 50/100")
    assert len(lines) == 3


def test_progress_is_live_bars_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    shown = progress.make(stream=stream)
    shown.start(2, 0)
    shown.cell("all dark, replicate 0", "pretraining", 50, 100)
    shown.arm("all dark, 50 labels", 3, 1.0)
    shown.cell("all dark, replicate 0", progress.DONE, 1, 1)
    shown.finish()
    assert "failed: all dark, 50 labels" in stream.getvalue()


def test_long_values_of_options_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run.main(["x.toml", "--replicates", "9x" * 5_000])
    message = capsys.readouterr().err.splitlines()[-1]
    assert left.value.code == 2 and "--replicates: invalid int value: '9x9x" in message and len(message) < 600
