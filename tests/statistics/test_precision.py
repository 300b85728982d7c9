"""Replicates for an interval of a given width: closed forms against simulation, and what the command prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from biasprop import run
from biasprop.estimands import estimand as make
from biasprop.statistics.measures import measure
from biasprop.statistics.precision import (
    Precision,
    c4,
    chance,
    expected_half_width,
    power_curve,
    precision,
)
from tests.synthetic import synthetic_cube

ROOT = Path(__file__).parents[2]
SWAP = {"subgroups": ("light", "dark"), "factor": "pretraining", "skewed": ("all light", "all dark")}
PROBE = {"labels": 50, "protocol": "linear_probe"}
STATED = [
    make(name="swap", kind="swap_contrast", **SWAP, at={"labels": 200}),  # pyright: ignore[reportArgumentType]
    make(name="kept", kind="retention", **SWAP, denominator=PROBE, at={"protocol": "full"}),  # pyright: ignore
    make(name="half", kind="halving_budget", **SWAP, budget="labels", at={"protocol": "full"}),  # pyright: ignore
]


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    return measure(synthetic_cube(replicates=6, draws=1, subjects=300, seed=2), 0.9)


def test_c4_by_hand() -> None:
    assert c4(2) == pytest.approx(np.sqrt(2 / np.pi))
    assert c4(4) == pytest.approx(0.921318, abs=1e-6)  # tables of quality control


@pytest.mark.parametrize("replicates", [2, 3, 8])
def test_the_expected_half_width_is_the_mean_of_many(replicates: int) -> None:
    random = np.random.default_rng(1)
    known, future = random.standard_normal((20_000, 5)), random.standard_normal((20_000, replicates))
    half = stats.t.ppf(0.975, replicates - 1) * future.std(axis=1, ddof=1) / np.sqrt(replicates)
    foreseen = [expected_half_width(sd, 5, replicates) for sd in known.std(axis=1, ddof=1)]
    assert np.mean(foreseen) == pytest.approx(half.mean(), rel=0.03)
    promised = [chance(0.8, sd, 5, replicates) for sd in known.std(axis=1, ddof=1)[:4_000]]
    assert 0 < np.mean(promised) < 1


def test_replicates_for_80_percent_keep_the_promise() -> None:
    random = np.random.default_rng(2)
    kept = []
    for _ in range(400):
        sd = random.standard_normal(6).std(ddof=1)
        n = next(n for n in range(2, 400) if chance(0.7, sd, 6, n) >= 0.8)
        future = random.standard_normal((25, n)).std(axis=1, ddof=1)
        kept.append(np.mean([expected_half_width(s, n, n) <= 0.7 for s in future]))
    assert 0.78 < np.mean(kept) < 0.90  # whole replicates: a little more than promised


def test_the_numbers_of_a_store(measures: xr.Dataset) -> None:
    found = precision(measures, STATED, 0.05)
    assert [row.name for row in found] == ["swap"] * 2 + ["kept"] * 3 + ["half"]
    for row in found[:2]:
        assert row.replicates == 6 and row.half_width > 0 and not row.reason
        assert row.expected is not None and row.likely is not None and row.likely >= row.expected >= 2
        sd = row.half_width * np.sqrt(6) / 2.570582
        assert expected_half_width(sd, 6, row.expected) <= 0.05 < expected_half_width(sd, 6, row.expected - 1)
        assert chance(0.05, sd, 6, row.likely) >= 0.8 > chance(0.05, sd, 6, row.likely - 1)
    for row in found[2:5]:
        assert row.expected is not None and row.expected >= 4 and row.likely is None
    assert found[5].expected is None and "no interval" in found[5].reason


def test_narrower_intervals_need_more(measures: xr.Dataset) -> None:
    def needed(half_width: float) -> list[int]:
        return [row.expected or 99_999 for row in precision(measures, STATED[:2], half_width)]

    wide, narrow = needed(0.2), needed(0.02)
    assert all(a < b for a, b in zip(wide, narrow, strict=True))
    current = precision(measures, STATED[:1], 0.05)[0].half_width
    assert abs((precision(measures, STATED[:1], current)[0].expected or 0) - 6) <= 1
    (tiny, *_) = precision(measures, STATED[:1], 1e-6)
    assert tiny.expected is None and "more than 10000" in tiny.reason


def test_too_few_replicates_are_said(measures: xr.Dataset) -> None:
    for there in (measures.isel(replicate=[0]), None):
        found: list[Precision] = precision(there, STATED[:2], 0.05)
        assert all(row.expected is None and row.replicates < 2 for row in found)
        assert all("not enough replicates in the store" in row.reason for row in found)


def test_the_command_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = str(ROOT / "tests" / "figures" / "study.toml")
    assert run.main([study, "--precision", "0.05"]) == 0
    assert "not enough replicates in the store" in capsys.readouterr().out
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(
        "biasprop.report.results.open_study_cube",
        lambda study, store: synthetic_cube(replicates=6, draws=1, subjects=60),
    )
    monkeypatch.setattr(Path, "is_dir", lambda path: True)
    assert run.main([study, "--precision", "0.05"]) == 0
    text = capsys.readouterr().out
    assert (
        "half-width 0.05" in text
        and "halving budget has no interval based on the sd of replicates" in text
        and "not enough" not in text
    )
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["0", "-0.1", "nan", "inf"])
def test_a_bad_width_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["x.toml", f"--precision={word}"]) == 2
    assert capsys.readouterr().err.strip() == f"--precision {float(word):g}: has to be a half-width above 0"


def test_a_power_curve_is_that_of_simulated_intervals() -> None:
    random, n = np.random.default_rng(3), 6
    values = 0.1 + 0.08 * random.standard_normal((20_000, n))
    p = stats.ttest_1samp(values, 0.0, axis=1).pvalue  # pyright: ignore[reportAttributeAccessIssue]
    assert power_curve(0.1, 0.08, [n])[0] == pytest.approx(np.mean(p < 0.05), abs=0.012)
    assert power_curve(0.1, 0.08, [2, 5, 20]) == sorted(power_curve(0.1, 0.08, [2, 5, 20]))
    assert power_curve(0.0, 0.0, [2]) == [0.0] and power_curve(0.1, 0.0, [2]) == [1.0]
