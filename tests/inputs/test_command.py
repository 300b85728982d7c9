"""The command with bad input: exit code 2, one line a problem on stderr, no traceback, and nothing is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).parent / "example.toml"


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m biasprop.run`` in a folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "NPROC": "1"}
    whole = [sys.executable, "-m", "biasprop.run", *words]
    return subprocess.run(whole, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bad.toml",), ("bad.toml:2: title: is 3",)),
        (("good.toml", "--set", "encoder.kind=vitt", "--json"), ("there is no kind 'vitt'", "did you mean vit?")),
        (("good.toml", "--only", "pretraining=all lihgt"), ("has no level 'all lihgt'", "did you mean all light?")),
        (("good.toml", "--workers", "-1", "--netcdf", "no/where.nc"), ("--workers -1", "there is no folder no")),
        (("good.toml", "--out", "bad.toml", "--plan"), ("--out bad.toml: is a file",)),
    ],
)
def test_bad_input_is_exit_code_2_without_traceback_or_trace(
    words: tuple[str, ...], said: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "good.toml").write_text(EXAMPLE.read_text())
    (tmp_path / "bad.toml").write_text(EXAMPLE.read_text().replace('"Skin tone in pretraining"', "3", 1))
    done = command(tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for part in said:
        assert part in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.toml", "good.toml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x.toml", "--smok"), "did you mean --smoke?"),
        (("x.toml", "--replicates", "few"), "invalid int value: 'few'"),
        (("x.toml", "--precision", "wide"), "--precision: invalid float value: 'wide'\n"),
        (("x.toml", "-q", "-v"), "not allowed with argument"),
        ((), "the following arguments are required: STUDY"),
    ],
)
def test_wrong_arguments(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    from biasprop.run import main

    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert said in capsys.readouterr().err
