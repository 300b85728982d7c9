"""Figures are drawn whatever the user has set for figures of their own, and leave that as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.source_tree import ROOT

DRAW = """
import os, sys
from pathlib import Path
from biasprop.report import plotting

if {no_home}:
    def home():
        raise RuntimeError("Could not determine home directory.")
    Path.home = home

@plotting.style()
def draw():
    figure = plotting.page(2, 2)
    figure.subplots().plot([1, 2])
    return figure

(file,) = plotting.save(draw(), Path(sys.argv[1]), ["svg"])
import matplotlib
print(matplotlib.rcParams._get("backend"), os.environ["MPLBACKEND"], "matplotlib.pyplot" in sys.modules)
"""


def drawn(folder: Path, backend: str, *, no_home: bool = False) -> subprocess.CompletedProcess[str]:
    """Draw a figure in a process with this ``MPLBACKEND``, in a folder that may hold a ``matplotlibrc``."""
    words = [sys.executable, "-c", DRAW.format(no_home=no_home), "figure"]
    own = os.environ | {"MPLBACKEND": backend, "PYTHONPATH": str(ROOT)}
    own = {name: value for name, value in own.items() if name != "MPLCONFIGDIR" or not no_home}
    return subprocess.run(words, env=own, cwd=folder, capture_output=True, text=True)


def test_a_backend_that_does_not_exist_here_is_not_needed(tmp_path: Path) -> None:
    """As a notebook sets it for its own Python; also with a user who has no home folder, and without any warning."""
    usual, other = tmp_path / "usual", tmp_path / "other"
    usual.mkdir()
    other.mkdir()
    (other / "matplotlibrc").write_text("lines.linewidth: 9\naxes.facecolor: no colour\nno.such.key: 1\n")
    assert drawn(usual, "svg").stdout.split() == ["svg", "svg", "False"]
    done = drawn(other, "module://no_such_module", no_home=True)
    assert done.stderr == "" and done.stdout.split()[1:] == ["module://no_such_module", "False"]
    assert (usual / "figure.svg").read_bytes() == (other / "figure.svg").read_bytes()


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    done = drawn(tmp_path, "agg")
    assert done.stderr.splitlines()[-1].startswith(
        "biasprop.component.InputError: Matplotlib cannot read its file of settings (matplotlibrc): 'utf-8' codec"
    )
