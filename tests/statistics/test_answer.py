"""The answer in words holds every verdict, and no number that is not an estimate's."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from biasprop.report import text_summary
from biasprop.statistics.measures import measure
from biasprop.statistics.summary import Summary, summary_of
from biasprop.study.load import load_study
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).parents[1] / "figures" / "study.toml"


@pytest.fixture(scope="module")
def summary() -> Summary:
    study = load_study(STUDY)
    measures = measure(synthetic_cube(replicates=6, subjects=200), study.evaluation.target_specificity)
    return summary_of(measures, study.estimands)


def test_every_verdict_is_told_with_its_count(summary: Summary) -> None:
    text = text_summary.paragraph(summary, width=10_000)
    (primary,) = [estimate for estimate in summary.estimates if estimate.primary]
    assert text.startswith(f"{primary.name} (")
    assert (
        f"is {primary.value:+.3f} [{primary.low:+.3f}, {primary.high:+.3f}] from 6 replicates: {primary.verdict}"
        in text
    )
    others = [estimate.verdict for estimate in summary.estimates if not estimate.primary]
    for word in set(others):
        assert f"{word.capitalize()}: {others.count(word)} other estimate" in text
    told = sum(int(count) for count in re.findall(r": (\d+) other estimate", text))
    assert told == len(others)


def test_every_number_is_an_estimate(summary: Summary) -> None:
    values = {f"{value:+.3f}" for one in summary.estimates for value in (one.value, one.low, one.high)} | {
        f"{mean['auc'].value:.3f}" for row in summary.levels for mean in row.subgroups.values()
    }
    numbers = re.findall(r"[+-]?\d\.\d{3}", text_summary.paragraph(summary))
    assert numbers and set(numbers) <= values


def test_what_a_label_budget_counts_is_said_where_budgets_vary() -> None:
    study = load_study(STUDY)
    text = " ".join(text_summary.label_budgets(study))
    sizes = study.evaluation
    assert f"a fifth (at least 2, at most {sizes.selection:,}) validates" in text
    assert f"The {sizes.calibration:,} calibration subjects" in text and "labelled apart" in text
    one = study.model_copy(update={"factors": {n: f for n, f in study.factors.items() if n != "labels"}})
    assert text_summary.label_budgets(one) == []


def test_nothing_is_made_up_where_nothing_has_run(summary: Summary) -> None:
    cube = synthetic_cube(replicates=3, subjects=60)
    cube["status"][...] = 0
    nothing = summary_of(measure(cube, 0.9), load_study(STUDY).estimands)
    text = text_summary.paragraph(nothing, width=10_000)
    assert "undefined" in text and text.endswith("No arm is finished.") and not re.search(r"[+-]\d\.\d{3}", text)
    assert text_summary.paragraph(replace(nothing, estimates=[], levels=[])) == ""
