"""Every command on files of users that are damaged, misread or hostile; two thousand cases are slow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.inputs import own_files, targets

SEED = 27
QUICK = [one for one in targets.TARGETS if one.kind != "store" and not one.name.startswith("card features")]
"""Targets of which a case takes a tenth of a second: no figures of a store, and no probes."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of all targets but stores."""
    for library in ("pyarrow", "pydicom", "nibabel"):
        pytest.importorskip(library, reason="the extra test installs what writes the files")
    folder = tmp_path_factory.mktemp("own") / "files"
    folder.mkdir()
    targets.made(folder)
    return folder


@pytest.fixture
def checker(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> own_files.Checker:
    monkeypatch.chdir(files)
    monkeypatch.setenv("XDG_CACHE_HOME", str(files.parent / "cache"))
    return own_files.Checker(files, capsys)


def test_a_sample_of_mutated_files_is_used_or_refused(checker: own_files.Checker) -> None:
    for case in own_files.cases(75, SEED, QUICK):
        checker.check(case)
    assert len(checker.counts) > 55


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_2000_mutated_files(files: Path, checker: own_files.Checker) -> None:
    targets.filled_store(files.parent / "store")
    shutil.copytree(files.parent / "store", files / "store")
    failures = []
    every = own_files.cases(10**6, SEED + 1)
    try:
        while sum(count["cases"] for count in checker.counts.values()) + len(failures) < 2_000:
            case = next(every)
            try:
                checker.check(case)
            except Exception as error:
                failures.append(f"{case.name}: {error!r}")
    finally:  # after an interruption, too
        with checker.capsys.disabled():
            print("\n".join(["", checker.report(), *failures]))
    assert not failures, "\n".join([f"{len(failures)} failures", *failures])
