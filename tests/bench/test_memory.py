"""Peak memory of a whole run does not grow with the number of cells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source_tree import ROOT


def peak(out: Path, replicates: int) -> int:
    """Most memory a run held, in the unit of the system."""
    line = [sys.executable, "-m", "biasprop.run", "studies/skin_tone.toml", "--smoke", "--workers", "0", "-q", "--json"]
    line += ["--out", str(out), "--only", "labels=16", "--replicates", str(replicates)]
    line += ["--only", "pretraining=dark 0.5", "--only", "pretraining=scratch"]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


@pytest.mark.slow
def test_ten_times_the_cells_need_no_more_memory(tmp_path: Path) -> None:
    peak(tmp_path / "first", 1)  # compiles: that memory is not a study's
    few, many = peak(tmp_path / "few", 1), peak(tmp_path / "many", 10)
    assert many < 1.2 * few, f"{many / few:.2f} times"
