"""--verify: arms that differ from what is computed are named; the store is not changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biasprop import run
from biasprop.component import InputError
from biasprop.execution import verify
from biasprop.store.store import Store
from biasprop.store.variables import DATA
from biasprop.study.load import load_study

STUDY = Path(__file__).parents[1] / "torture" / "small.toml"
WORDS = ["--only", "pretraining=all a", "--only", "labels=16", "-q", "--workers", "0"]
"""Four arms."""

PROBE = {"pretraining": "all a", "labels": 16, "protocol": "probe"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with the four arms."""
    out = tmp_path_factory.mktemp("verify")
    assert run.main([str(STUDY), "--out", str(out), *WORDS]) == 0
    return out


def verified(out: Path, capsys: pytest.CaptureFixture[str], sample: str = "1.0") -> tuple[int, list[str]]:
    """Exit code and results; nothing on disk may change."""
    capsys.readouterr()
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in out.rglob("*") if file.is_file()}
    code = run.main([str(STUDY), "--out", str(out), *WORDS, "--json", "--verify", sample])
    told = json.loads(capsys.readouterr().out)
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in out.rglob("*") if file.is_file()} == before
    return code, sorted(one["result"] for one in told["verified"])


def rewrite(out: Path, moved: float, mark: dict[str, Any]) -> None:
    """Store an arm again, the diseased's scores moved and as of another fingerprint, with a checksum that holds."""
    store = Store.open(load_study(STUDY).store(out))
    at = store.index(PROBE, 0)
    data = {name: np.asarray(store.array(name)[at]) for name in DATA}
    data["score"] = data["score"] + np.float32(moved) * data["label"]
    fingerprint = store.fingerprint(int(store.array("fingerprint")[at]))
    assert fingerprint is not None
    store.write(PROBE, 0, data, [1], 1.0, fingerprint | mark)


def test_the_same_bits_then_other_ones_on_this_and_another_fingerprint(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verified(out, capsys) == (0, ["same bits"] * 4)
    assert verified(out, capsys, "2") == (0, ["same bits"] * 2)
    store = Store.open(load_study(STUDY).store(out))
    file = store.path.joinpath("cube.zarr", "score", "c", *map(str, store.index(PROBE, 0)), "0", "0", "0")
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert verified(out, capsys) == (4, ["damaged"] + ["same bits"] * 3)
    file.write_bytes(content)
    rewrite(out, 1e-6, {})
    assert verified(out, capsys) == (4, ["differs"] + ["same bits"] * 3)
    rewrite(out, 0.0, {"device": "another"})
    assert verified(out, capsys) == (0, ["same bits"] * 3 + ["within tolerance"])
    rewrite(out, 10.0, {"device": "another"})
    assert verified(out, capsys) == (4, ["differs"] + ["same bits"] * 3)


@pytest.mark.parametrize("sample, count", [("1", 1), ("7", 7), ("500", 120), ("0.1", 12), ("0.001", 1), ("1.0", 120)])
def test_samples(sample: str, count: int) -> None:
    assert verify.size(sample, 120) == count


@pytest.mark.parametrize("sample", ["0", "-1", "0.0", "1.5", "nan", "many", "", "inf", "5%"])
def test_what_is_no_sample_is_refused(sample: str) -> None:
    with pytest.raises(InputError, match=r"--verify .*number of arms"):
        verify.size(sample, 120)


def test_nothing_finished_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(STUDY), "--out", str(tmp_path), "--verify"]) == 2
    assert "no result store" in capsys.readouterr().err and not list(tmp_path.iterdir())
