"""A hundred of the studies of :mod:`tests.inputs.fuzz`, others each time the number below is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inputs import fuzz

SEED = 5


def test_every_study_plans_or_is_refused_with_file_line_and_key(tmp_path: Path) -> None:
    found: list[bool] = []
    fuzz.run(100, SEED, lambda case: found.append(bool(fuzz.planned(case, tmp_path))))
    assert sum(found) > 20 and len(found) - sum(found) > 4


def test_a_case_that_hangs_or_grows_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    with pytest.raises(fuzz.Hangs), fuzz.limited():
        while True:
            pass
    monkeypatch.setattr(fuzz, "MEGABYTES", -1)
    with pytest.raises(AssertionError, match="huge allocation"), fuzz.limited():
        pass
