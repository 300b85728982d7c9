"""The tidy table: one row per estimate, every number that of the summary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biasprop.report import tidy_table
from biasprop.statistics.measures import measure
from biasprop.statistics.summary import Summary, summary_of
from biasprop.study.load import load_study
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).parents[1] / "figures" / "study.toml"


@pytest.fixture(scope="module")
def summary() -> Summary:
    study = load_study(STUDY)
    cube = synthetic_cube(replicates=4, subjects=120, diverged=1, open_arms=2)
    return summary_of(measure(cube, study.evaluation.target_specificity), study.estimands)


def test_every_estimate_is_a_row(summary: Summary) -> None:
    table = tidy_table.tabulated(summary)
    assert list(table.columns[:6]) == list(tidy_table.WHAT)
    assert list(table.columns[6:9]) == ["pretraining", "labels", "protocol"]
    stated = table.query("table == 'estimand'")
    assert len(stated) == len(summary.estimates)
    for row, estimate in zip(stated.to_dict(orient="records"), summary.estimates, strict=True):
        named = (row[name] for name in ("subgroup", "against") if not pd.isna(row[name]))
        assert (row["name"], *named) == (estimate.name, *estimate.subgroups)
        assert np.array_equal([row["value"], row["low"]], [estimate.value, estimate.low], equal_nan=True)
        assert row["verdict"] == estimate.verdict and row["role"] == estimate.role
        assert all(row[factor] == level for factor, level in estimate.arm.items())
        assert sum(pd.isna(row[name]) for name in ("pretraining", "labels", "protocol")) == 3 - len(estimate.arm)


def test_every_level_is_a_row(summary: Summary) -> None:
    table = tidy_table.tabulated(summary)
    levels = table[table["table"] == "level"]
    per_arm = [sum(map(len, row.subgroups.values())) + len(row.across) for row in summary.levels]
    assert len(levels) == sum(per_arm)
    row = summary.levels[0]
    at = np.logical_and.reduce([levels[factor] == level for factor, level in row.arm.items()])
    own = levels[at & (levels["name"] == "auc") & (levels["subgroup"] == "dark")]
    assert own["value"].item() == row.subgroups["dark"]["auc"].value
    gap = levels[at & (levels["name"] == "z_gap")]
    assert gap["value"].item() == row.across["z_gap"].value
    assert (gap["subgroup"].item(), gap["against"].item()) == row.compared


def test_what_is_written_is_read_back(summary: Summary, tmp_path: Path) -> None:
    table, file = tidy_table.tabulated(summary), tmp_path / "all.csv"
    tidy_table.write_csv(table, file)
    back = pd.read_csv(file)
    assert list(back.columns) == list(table.columns) and len(back) == len(table)
    assert np.allclose(back["value"], table["value"], equal_nan=True, rtol=1e-12)
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_a_factor_called_like_a_column_keeps_the_column() -> None:
    cube = synthetic_cube({"pretraining": ("all light", "50/50", "all dark"), "name": ("x", "y")}, replicates=3)
    table = tidy_table.tabulated(summary_of(measure(cube, 0.9), []))
    assert set(table["factor name"]) == {"x", "y"} and "auc" in set(table["name"])
