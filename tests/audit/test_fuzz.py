"""Hundreds of broken tables; every message names file, line and column. Two thousand are slow."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from biasprop.audit.__main__ import main
from tests.audit import fuzz

SEED = 27


def refused(number: int, seed: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for case in fuzz.cases(number, seed):
        fuzz.written(case, folder)
        code = main([fuzz.FILE, *case.words])
        out, told = capsys.readouterr()
        what = f"{case.kind}: {told or out[:200]}"
        assert code == 2 and out == "", what
        assert case.says in told, what
        assert told.startswith(fuzz.expected(case)), f"{what}; expected {fuzz.expected(case)}"
        assert "Traceback" not in told and "\x1b" not in told, what
        assert told.count("\n") == (7 if case.kind == "HTML" else 1), what


def survived(number: int, seed: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[int]:
    """Codes of damaged tables; what is not broken at all is audited."""
    codes = []
    for i in range(number):
        random = np.random.default_rng([seed, i])
        case = fuzz.table(random)
        whole = i % 5 == 0
        (folder / fuzz.FILE).write_bytes(case.text()[0] if whole else fuzz.damaged(case.text()[0], random))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            code = main([fuzz.FILE, *case.words])
        out, told = capsys.readouterr()
        assert code in ((0,) if whole else (0, 2)), told
        if code == 0:
            json.loads(out)
        else:
            assert out == "" and told.startswith((f"{fuzz.FILE}:", "--")), told
        codes.append(code)
    return codes


def test_every_broken_table_is_refused_with_file_line_and_column(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    refused(330, SEED, tmp_path, capsys)


def test_a_damaged_table_is_audited_or_refused(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    codes = survived(60, SEED, tmp_path, capsys)
    assert codes.count(0) > 20 and codes.count(2) > 15


@pytest.mark.slow
def test_2000_broken_tables(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    refused(2000, SEED + 1, tmp_path, capsys)


@pytest.mark.slow
def test_1000_damaged_tables(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    survived(1000, SEED + 1, tmp_path, capsys)
