"""The answer of a study: short, in plain words, with what its design could not see, and no number of its own."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from biasprop.estimands import ESTIMANDS, estimand
from biasprop.report import answer
from biasprop.report.wording import Wording
from biasprop.statistics.measures import measure
from biasprop.statistics.summary import Estimate, Mean, OnScales, Summary, summary_of
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, NOT_RESOLVED
from biasprop.study.load import load_study
from biasprop.study.study import Study
from tests.estimands.test_estimand_contract import measured, stated
from tests.source_tree import ROOT
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).parents[1] / "figures" / "study.toml"


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(STUDY)


@pytest.fixture(scope="module")
def summary(study: Study) -> Summary:
    measures = measure(synthetic_cube(replicates=6, subjects=200), study.evaluation.target_specificity)
    return summary_of(measures, study.estimands)


def excess(value: float, half: float, role: str, verdict: str = "", **arm: Any) -> Estimate:
    """An estimate of the study's excess gap."""
    at = {"pretraining": "all light", "labels": 200, "protocol": "full"} | arm
    decides = (value - half, value + half) if role != "exploratory" else (np.nan, np.nan)
    return Estimate(
        name="excess gap, all light",
        kind="excess_gap",
        subgroups=("light", "dark"),
        arm=at,
        scale="z",
        margin=0.1,
        replicates=6,
        value=value,
        low=value - half,
        high=value + half,
        zone_low=decides[0],
        zone_high=decides[1],
        se=half / 2.5706,  # t of five degrees of freedom
        method="t",
        verdict=verdict,
        role=role,
    )


def told(estimates: list[Estimate], summary: Summary, study: Study) -> str:
    on_auc = [
        OnScales(one.name, one.subgroups, one.arm, {"auc": Mean(0.021, 0.01, 0.03, 6)}, {}, False)
        for one in estimates
        if one.role == "primary"
    ]
    return answer.answer(Summary([*estimates], summary.levels, 0.9, scales=on_auc), study).text()


def test_the_primary_estimate_in_plain_words(summary: Summary, study: Study) -> None:
    text = told([excess(0.1, 0.05, "primary", "present, size unclear")], summary, study)
    assert text.startswith(
        "With 0 % dark instead of 50 % dark in pretraining, the gap in z(AUC) of light over dark (200 labels, full "
        "fine-tuning) grows by 0.100 [0.050, 0.150] on z, from 6 replicates: present, size unclear."
    )
    assert "That is +0.021 [+0.010, +0.030] in AUC" in text
    falls = told([excess(-0.1, 0.05, "primary", MATERIAL)], summary, study)
    assert "shrinks by 0.100 [0.050, 0.150] on z" in falls
    assert "changes by +0.010 [-0.040, +0.060] on z" in told([excess(0.01, 0.05, "primary")], summary, study)


def test_patients_are_counted_at_the_level_of_the_arm(summary: Summary, study: Study) -> None:
    (row,) = [row for row in summary.levels if row.arm == excess(0, 0, "primary").arm]
    z = np.mean([np.sqrt(2) * norm.ppf(means["auc"].value) for means in row.subgroups.values()])
    threshold = norm.ppf(0.9)
    counts = [100 * (norm.cdf(z - threshold) - norm.cdf(z - effect - threshold)) for effect in (0.1, 0.05, 0.15)]
    shown = "{:+.0f} [{:+.0f}, {:+.0f}] missed cases".format(*counts)
    text = told([excess(0.1, 0.05, "primary")], summary, study)
    assert f"{shown} of dark over those of light per 100 people with the disease" in text
    assert f"AUC in its arm: light {row.subgroups['light']['auc'].value:.3f} [" in text


def test_what_flips_it_is_said(summary: Summary, study: Study) -> None:
    primary = excess(0.1, 0.05, "primary", "present, size unclear")
    against = excess(-0.2, 0.05, "exploratory", labels=50)
    unclear, other_mix = excess(-0.2, 0.3, "exploratory", labels=50), excess(-0.2, 0.05, "exploratory")
    other_mix = replace(other_mix, arm=other_mix.arm | {"pretraining": "all dark"})
    flipped = "The sign flips (of 1 other arms, corrected for their number): 0 % dark in pretraining, 50 labels"
    assert flipped in told([primary, against], summary, study)
    barely = excess(-0.2, 0.19, "exploratory", labels=50)
    assert flipped in told([primary, barely], summary, study)
    weak = [excess(-0.2, 0.19, "exploratory", labels=n) for n in (25, 50, 1000, 5000)]
    assert "flips in none of 4 other arms" in told([primary, *weak], summary, study), "the more arms, the wider"
    assert "flips in none of 1" in told([primary, unclear], summary, study), "an interval with 0 flips nothing"
    assert "flips" not in told([primary, other_mix], summary, study), "another mix is another quantity"
    agrees = excess(0.2, 0.05, "exploratory", labels=50)
    assert "flips in none of 1" in told([primary, agrees], summary, study)
    null = excess(0.01, 0.05, "primary", NEGLIGIBLE)
    text = told([null, agrees], summary, study)
    assert "Elsewhere it leaves out 0 (of 1 other arms, corrected for their number): 0 % dark in pretraining" in text
    assert "flips" not in text
    twice = [null, replace(agrees, role="secondary"), agrees, replace(null, role="exploratory")]
    assert told(twice, summary, study).count("0 % dark in pretraining, 50 labels") == 1
    assert "Elsewhere it leaves out 0 (of 1 other arms" in told(twice, summary, study)
    wide = replace(excess(0.2, 0.05, "secondary", labels=50), zone_low=-0.01, zone_high=0.41)
    assert "Elsewhere" not in told([null, wide], summary, study), "nor does an interval that is printed with 0 in it"


def test_whether_a_material_effect_could_have_been_seen(summary: Summary, study: Study) -> None:
    text = told([excess(0.1, 0.05, "primary")], summary, study)
    assert "reaches 0.050 to either side, and the margin is 0.1 on z: effects beyond 0.150 are expected" in text
    assert "none could have shown as negligible" not in text
    assert "none could have shown as negligible" in told([excess(0.1, 0.2, "primary")], summary, study)
    assert "reaches" not in told([excess(0.3, 0.05, "primary", MATERIAL)], summary, study)


def test_a_gain_is_fewer_missed_cases(summary: Summary, study: Study) -> None:
    gain = replace(excess(0.2, 0.05, "primary"), kind="difference", subgroups=("dark",))
    stated = estimand("difference", name=gain.name, subgroup="dark", minus={"pretraining": "scratch"})
    other = study.model_copy(update={"estimands": (stated,)})
    text = told([gain], summary, other)
    counts = re.search(r"([+-]\d+) \[([+-]\d+), ([+-]\d+)\] missed cases per 100", text)
    assert counts and int(counts[2]) <= int(counts[1]) <= int(counts[3]) < 0


def test_misses_and_nulls_come_first(summary: Summary, study: Study) -> None:
    estimates = [
        excess(0.1, 0.05, "primary", "present, size unclear"),
        excess(0.3, 0.05, "secondary", MATERIAL, labels=50),
        excess(0.01, 0.05, "secondary", NEGLIGIBLE, labels=1000),
        excess(0.01, 0.2, "secondary", NOT_RESOLVED, protocol="linear_probe"),
    ]
    text = told(estimates, summary, study)
    places = [text.index(f": {verdict}.") for verdict in (NOT_RESOLVED, NEGLIGIBLE, MATERIAL)]
    assert places == sorted(places)
    assert "of light over dark (50 labels) grows by 0.300" in text, "what the primary has is not said again"
    many = [excess(0.3, 0.05, "secondary", MATERIAL, labels=50)] * answer.MAX_TOLD
    told_by_verdict = told([*estimates, *many], summary, study)
    heads = ["Not resolved: excess gap", "Negligible: excess gap", "Material: 7 estimates of excess gap"]
    places = [told_by_verdict.index(head) for head in heads]
    assert places == sorted(places)


def test_the_worth_of_pretraining_is_that_of_the_primary_arm(summary: Summary, study: Study) -> None:
    primary = excess(0.1, 0.05, "primary")
    worth = [replace(excess(0.2, 0.1, "exploratory", labels=labels), kind="worth") for labels in (50, 200)]
    assert "What pretraining was worth is not among the estimands." in told([primary], summary, study)
    text = told([primary, *worth], summary, study)
    assert "Worth of pretraining: " in text and "1 of 1 above 0." in text


def test_a_difference_of_two_worths_is_not_what_pretraining_is_worth(summary: Summary, study: Study) -> None:
    """Such as what normalisation changes in the difference between two cohorts."""
    changed = estimand(
        "worth",
        name="changed worth",
        factor="pretraining",
        reference="balanced",
        subgroup="dark",
        at={"protocol": "full"},
        minus={"protocol": "linear_probe"},
    )
    both = study.model_copy(update={"estimands": (*study.estimands, changed)})
    for role in ("secondary", "exploratory"):
        one = replace(excess(0.2, 0.1, role), kind="worth", name="changed worth", subgroups=("dark",))
        text = told([excess(0.1, 0.05, "primary"), one], summary, both)
        assert "What pretraining was worth is not among the estimands." in text and "Worth of pretraining" not in text


def test_every_number_is_an_estimate(summary: Summary, study: Study) -> None:
    """Apart from the margin, half-widths and counts, which are computed from them."""
    known = {abs(value) for one in summary.estimates for value in (one.value, one.low, one.high)}
    known |= {abs(value) for row in summary.scales for value in row.scales["auc"][:3]}
    known |= {value for row in summary.levels for means in row.subgroups.values() for value in means["auc"][:3]}
    (primary,) = [one for one in summary.estimates if one.primary]
    half = (primary.high - primary.low) / 2
    known |= {half, half + primary.margin}
    numbers = re.findall(r"\d\.\d{3}", answer.answer(summary, study).text())
    assert numbers and set(numbers) <= {f"{value:.3f}" for value in known}


def test_the_primary_on_auc_is_its_own_contrast_of_aucs(study: Study) -> None:
    measures = measure(synthetic_cube(replicates=5, subjects=200), 0.8)
    (row,) = summary_of(measures, study.estimands).scales
    found = row.scales["auc"]
    auc = measures["auc"].mean("draw").sel(labels=200, protocol="full")
    gap = auc.sel(subgroup="light") - auc.sel(subgroup="dark")
    swap = 0.5 * (gap.sel(pretraining="all light") - gap.sel(pretraining="all dark"))
    assert found.value == pytest.approx(float(swap.mean())) and found.low < found.value < found.high


@pytest.mark.parametrize("kind", ESTIMANDS)
def test_every_kind_has_a_sentence(kind: str, study: Study) -> None:
    one = stated(kind)
    other = study.model_copy(update={"estimands": (one,)})
    made = summary_of(measured(), [one]).estimates
    assert made
    for estimate in made:
        sentence = Wording(other).sentence(estimate)
        assert sentence[0].isupper() and not re.search(r"[{}]|\|", sentence), sentence
        assert "the arm" not in sentence and len(sentence) < 300


def test_a_difference_of_two_arms_names_both(study: Study) -> None:
    one = stated("swap_contrast", at={"labels": 1000, "protocol": "full"}, minus={"labels": 50})
    other = study.model_copy(update={"estimands": (one,)})
    (estimate,) = summary_of(measured(), [one]).estimates
    assert "(1,000 labels minus 50 labels, full fine-tuning) from" in Wording(other).sentence(estimate)


def rows_of(study: Study) -> xr.Dataset:
    factors = {name: [level.label for level in study.levels(name)] for name in study.factors}
    return synthetic_cube(factors, replicates=3, draws=1, subjects=24, subgroups=study.subgroups, calibration=60)


def test_the_largest_study_fits_40_lines_of_100_columns() -> None:
    """That with the most estimates, on made-up scores."""
    counted: dict[Path, int] = {}
    for file in sorted((ROOT / "studies").glob("*.toml")):
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        arms = int(np.prod([len(factor["levels"]) for factor in table["factors"].values()]))
        counted[file] = arms * len(table["estimands"])
    study = load_study(
        max((file for file in counted if "population" not in file.read_text()), key=lambda f: counted[f])
    )
    summary = summary_of(measure(rows_of(study), 0.8), study.estimands)
    said = answer.answer(summary, study).lines(100)
    assert 0 < len(said) <= answer.LINES and max(map(len, said)) <= 100
    text = answer.brief(summary, study, 100)
    assert text.startswith("\n".join(said) + "\n\nEstimates")
    assert text.count("\n") <= answer.BRIEF_LINES
    shown = re.search(r"(\d+) more estimates, levels and notes: -v\n$", text)
    assert shown and 0 < int(shown[1]) < len(summary.estimates)


def test_a_table_that_fits_is_whole(summary: Summary, study: Study) -> None:
    text = answer.brief(summary, study, 140, most=1000)
    assert text.endswith("\nlevels and notes: -v\n")
    assert sum(text.count(name) for name in {one.name for one in summary.estimates}) >= len(summary.estimates)
    first = text.partition("Estimates")[2].partition("---")[2].splitlines()[1]
    assert first.strip().startswith("swap contrast, full, 200 labels*")


def test_a_sentence_that_does_not_fit_is_left_out_and_the_first_is_cut() -> None:
    made = answer.Answer(("a" + " word" * 10 + ".", "b" + " word" * 100 + ".", "Short."))
    assert " ".join(made.lines(40, 3)) == "a" + " word" * 10 + ". Short."
    assert len(answer.Answer(("word " * 500,)).lines(100)) <= answer.LINES
    assert " ".join(made.lines(40, None)) == made.text()


def test_what_a_label_budget_counts_is_said_where_budgets_vary(study: Study) -> None:
    text = " ".join(answer.label_budgets(study))
    sizes = study.evaluation
    assert f"a fifth (at least 2, at most {sizes.selection:,}) validates" in text
    assert f"The {sizes.calibration:,} calibration subjects" in text and "labelled apart" in text
    one = study.model_copy(update={"factors": {n: f for n, f in study.factors.items() if n != "labels"}})
    assert answer.label_budgets(one) == []


def test_nothing_is_made_up_where_nothing_has_run(study: Study) -> None:
    cube = synthetic_cube(replicates=3, subjects=60)
    cube["status"][...] = 0
    nothing = summary_of(measure(cube, 0.9), study.estimands)
    text = answer.answer(nothing, study).text()
    assert "undefined" in text and text.endswith("No arm is finished.") and not re.search(r"\d\.\d{3}", text)
    assert answer.answer(replace(nothing, estimates=[], levels=[]), study).text() == ""


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [
        (0.2, 0.1, "Z(AUC) in dark is higher by 0.200 [0.100, 0.300] on z than with 50 % dark in pretraining"),
        (-0.2, 0.1, "Z(AUC) in dark is lower by 0.200 [0.100, 0.300] on z than with 50 % dark in pretraining"),
        (0.2, 0.3, "Z(AUC) in dark differs by +0.200 [-0.100, +0.500] on z from that with 50 % dark in pretraining"),
    ],
)
def test_a_difference_in_either_direction_and_in_none(value: float, half: float, said: str, study: Study) -> None:
    at, minus = {"pretraining": "all light"}, {"pretraining": "50/50"}
    one = estimand("difference", name="d", subgroup="dark", at=at, minus=minus)
    found = replace(excess(value, half, "exploratory"), name="d", kind="difference", subgroups=("dark",), arm={})
    assert Wording(study.model_copy(update={"estimands": (one,)})).sentence(found) == said


def test_mixes_of_more_than_two_subgroups_and_of_two_stages_have_their_names() -> None:
    ages, sexes = (Wording(load_study(ROOT / "studies" / f"{name}.toml")) for name in ("age_skew", "sex_imbalance"))
    assert ages.arm({"pretraining": "mostly 40 to 70", "labels": 200}) == "mostly 40 to 70, 200 labels"
    assert sexes.arm({"mix": "men in labels", "protocol": "full"}) == "men in labels, full fine-tuning"
    one = estimand("excess_gap", name="e", subgroups=("man", "woman"), factor="mix", reference="balanced")
    found = replace(excess(0.2, 0.1, "exploratory"), name="e", subgroups=("man", "woman"), arm={"mix": "men in labels"})
    study = load_study(ROOT / "studies" / "sex_imbalance.toml").model_copy(update={"estimands": (one,)})
    assert Wording(study).sentence(found).startswith("With men in labels instead of balanced in mix, the gap in z(AUC)")
