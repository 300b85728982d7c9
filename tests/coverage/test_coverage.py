"""Intervals cover and verdicts keep their level on simulated studies; what is wrong on purpose fails the same check."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from biasprop.coverage import __main__ as command
from biasprop.coverage import cards
from biasprop.coverage.intervals import Row, rows
from biasprop.coverage.simulated import ARM, ENCODER, MEANS, REPLICATE, labelled, simulate, skewed, with_contrast
from biasprop.coverage.verdicts import EFFECTS, Rate, Zones, rates, right_zone, wrong
from biasprop.report import plotting
from biasprop.report.figures import coverage as figure
from biasprop.statistics import contributions
from biasprop.statistics.contrasts import excess_gap, gap, swap_contrast
from biasprop.statistics.verdict import ZONES

STUDIES = 2_000
PAIR = ("A", "B")
SKEWED = ("to A", "to B")


@pytest.fixture(scope="module")
def covered() -> list[Row]:
    return rows(3, STUDIES, (2, 3, 6, 15))


@pytest.fixture(scope="module")
def counted() -> tuple[list[Rate], list[Zones]]:
    return rates(3, STUDIES, (3, 6))


def test_every_interval_on_offer_covers(covered: list[Row]) -> None:
    offered = [row for row in covered if row.offered]
    assert not [row for row in offered if not row.passes]
    kinds = {(row.interval, row.estimand.partition(",")[0]) for row in offered}
    names = ("AUC", "gap", "excess gap", "common gap", "swap contrast", "difference", "interaction", "worth")
    names += ("own representation", "level effect")
    names += ("joint effect", "swap contrast of log z")
    assert kinds >= {("t", name) for name in names}
    assert ("Fieller", "retention") in kinds
    assert kinds >= {("inverse t", name) for name in ("label efficiency", "exchange rate", "halving budget")}
    assert {row.replicates for row in offered if row.interval == "inverse t"} == {2, 3, 6, 15}
    assert {row.replicates for row in offered if row.interval == "t"} == {2, 3, 6, 15}, "from as few as it is given"


def test_secondary_intervals_cover_together(covered: list[Row]) -> None:
    at_once = [row for row in covered if row.interval == "t, Bonferroni"]
    assert [row.replicates for row in at_once] == [2, 3, 6, 15]
    assert all(row.offered and row.passes and row.coverage > 0.94 for row in at_once)


def test_intervals_that_hold_at_once_cover_what_they_promise(covered: list[Row]) -> None:
    """Also where all subgroups are equal, so that their range is 0 and its estimate is above 0 in every study."""
    rows_at_once = [row for row in covered if row.interval == "simultaneous t"]
    assert {row.estimand for row in rows_at_once} == {
        "best minus worst of 4 subgroups",
        "best minus worst of 4 equal subgroups",
        "all 4 subgroups against their mean",
    }
    assert len(rows_at_once) == 3 * 4 and all(row.offered and row.at_least and row.passes for row in rows_at_once)


def test_a_contrast_of_log_z_is_left_out_with_its_study(covered: list[Row]) -> None:
    few = [row for row in covered if row.estimand == "swap contrast of log z, full, 50 labels"]
    given = [row.given for row in few]
    assert given == sorted(given, reverse=True) and given[-1] < 0.9 < given[0]


def test_every_interval_that_is_wrong_fails_the_same_check(covered: list[Row]) -> None:
    never = {row.interval for row in covered} - {row.interval for row in covered if row.offered}
    wrong_on_purpose = {"normal quantile", "sd / n", "unpaired"}
    assert never == wrong_on_purpose | {"BCa bootstrap", "jackknife"}
    for name in never:
        assert not all(row.passes for row in covered if row.interval == name), name


def test_the_jackknife_misses_close_to_the_largest_and_the_smallest_budget(covered: list[Row]) -> None:
    found = [row for row in covered if row.interval == "jackknife" and "close to" in row.estimand]
    assert len({row.estimand for row in found}) == 3
    assert all(row.coverage < 0.9 for row in found) and not any(row.passes for row in found)


def test_no_interval_is_offered_to_three_replicates_of_a_ratio(covered: list[Row]) -> None:
    assert not any(row.offered for row in covered if row.interval == "Fieller" and row.replicates < 4)
    few = [row for row in covered if row.interval == "Fieller" and row.replicates == 3]
    assert few and not any(row.offered for row in few)
    assert all(0.2 < row.given < 0.9 for row in few)  # the condition on the denominator is what does it


def test_verdicts_keep_their_level(counted: tuple[list[Rate], list[Zones]]) -> None:
    rates, _ = counted
    assert not [rate for rate in rates if rate.offered and not rate.passes]
    said = {rate.error for rate in rates if rate.offered}
    for effect in EFFECTS:
        assert f"primary (full, 50 labels), wrong zone: true effect {effect:g} margins" in said
    assert "any of 15 secondary, wrong zone: mixed effects" in said
    assert any(error.startswith("halving") for error in said)


def test_a_family_at_95_percent_each_fails_the_same_check(counted: tuple[list[Rate], list[Zones]]) -> None:
    found = [rate for rate in counted[0] if "each at 95 %" in rate.error]
    assert len(found) == 8 and not any(rate.offered or rate.passes for rate in found)


def test_power_is_the_share_of_the_right_zone(counted: tuple[list[Rate], list[Zones]]) -> None:
    _, zones = counted
    assert len(zones) == 2 * 2 * len(EFFECTS)
    power = {(row.estimand, row.effect, row.replicates): row.shares[row.right] for row in zones}
    for row in zones:
        assert sum(row.shares.values()) == pytest.approx(1.0)
        stated = sum(share for word, share in row.shares.items() if wrong(word, row.effect))
        error = f"primary ({row.estimand}), wrong zone: true effect {row.effect:g} margins"
        rate = next(one.rate for one in counted[0] if (one.error, one.replicates) == (error, row.replicates))
        assert stated == pytest.approx(rate)
    for effect in (0.0, 1.0, 2.0):
        assert power["full, 200 labels", effect, 6] > power["full, 200 labels", effect, 3]
        assert power["full, 200 labels", effect, 6] > power["full, 50 labels", effect, 6]


@pytest.mark.parametrize(
    ("effect", "right", "wrong_ones"),
    [
        (0.0, "negligible", {"material", "present, size unclear"}),
        (0.5, "negligible", {"material"}),
        (1.0, "present, size unclear", {"material", "negligible"}),
        (-1.0, "present, size unclear", {"material", "negligible"}),
        (2.0, "material", {"negligible"}),
        (-2.0, "material", {"negligible"}),
    ],
)
def test_what_is_wrong_of_a_true_effect(effect: float, right: str, wrong_ones: set[str]) -> None:
    assert right_zone(effect) == right
    assert {word for word in ZONES if wrong(word, effect)} == wrong_ones


def test_the_checks_can_fail() -> None:
    good = Row("t", "gap", 3, True, 1.0, 0.95, 0.0022, 0.95, 1.0)
    assert good.passes
    assert Row("t", "gap", 3, True, 1.0, 0.94, 0.0022, 0.95, 1.0).passes, "within a point"
    assert not Row("t", "gap", 3, True, 1.0, 0.93, 0.0022, 0.95, 1.0).passes
    assert not Row("t", "gap", 3, True, 1.0, 0.97, 0.0022, 0.95, 1.0).passes
    assert Row("t", "gap", 3, True, 1.0, 0.97, 0.0022, 0.95, 1.0, at_least=True).passes
    assert not Row("t", "gap", 3, True, 1.0, 0.93, 0.0022, 0.95, 1.0, at_least=True).passes
    assert not Row("t", "gap", 3, True, 0.0, np.nan, 0.2, 0.95, np.nan).passes
    assert Rate("x", 3, True, 0.058, 0.05, 10_000).passes and Rate("x", 3, True, 0.0, 0.05, 10_000).passes
    assert not Rate("x", 3, True, 0.06, 0.05, 10_000).passes


def test_simulated_studies_have_the_stated_moments() -> None:
    z = simulate(1, 1_000, 8)
    assert z.dims == ("study", "replicate", "pretraining", "subgroup", "protocol", "labels")
    assert z.identical(simulate(1, 1_000, 8)) and not z.equals(simulate(2, 1_000, 8))
    error = z.std(("study", "replicate")) / np.sqrt(8_000)
    assert float((np.abs(z.mean(("study", "replicate")) - labelled(MEANS)) / error).max()) < 5
    beta = swap_contrast(gap(z, PAIR), "pretraining", SKEWED)
    spread = beta.std(("study", "replicate"))
    probe = np.sqrt(REPLICATE[1, 1] ** 2 + ENCODER[1, 1] ** 2 + ARM[1, 1, 0] ** 2)
    full = np.sqrt(REPLICATE[1, 1] ** 2 + ARM[1, 1, 1] ** 2)
    assert float(spread.sel(protocol="linear_probe", labels=200)) == pytest.approx(probe, rel=0.04)
    assert float(spread.sel(protocol="full", labels=200)) == pytest.approx(full, rel=0.04)
    flat = beta.stack(at=("study", "replicate")).sel(protocol="linear_probe").values
    assert np.corrcoef(flat)[0, 3] == pytest.approx((probe**2 - ARM[1, 1, 0] ** 2) / probe**2, abs=0.04)
    assert ((flat - flat.mean(axis=1, keepdims=True)) ** 3).mean() > 0


@pytest.mark.parametrize("skew", [0.0, 0.4, 1.2])
def test_skewed_values_have_mean_zero_variance_one_and_that_skewness(skew: float) -> None:
    x = skewed(np.random.default_rng(0).standard_normal(400_000), skew)
    assert [x.mean(), x.var(), (x**3).mean()] == pytest.approx([0.0, 1.0, skew], abs=0.03 + 0.1 * skew)


def test_a_stated_contrast_is_the_true_one() -> None:
    gaps = gap(labelled(with_contrast(np.array([0.2, 0.1, 0.05, 0.0]))), PAIR)
    for found in (swap_contrast(gaps, "pretraining", SKEWED), excess_gap(gaps, "pretraining", "balanced")[0]):
        np.testing.assert_allclose(found, np.tile([0.2, 0.1, 0.05, 0.0], (2, 1)), atol=1e-12)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "REPLICATES", (3, 6))
    words = ["--studies", "200", "--seed", "5"]
    assert command.main([*words, "--figure", str(tmp_path / "coverage.svg")]) == 0
    table = capsys.readouterr().out
    assert "t: swap contrast" in table and "Monte Carlo" in table and "sd / n" in table
    assert [file.name for file in tmp_path.iterdir()] == ["coverage.svg"]
    assert command.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"interval", "estimand", "replicates", "coverage", "error", "width"} <= set(found["intervals"][0])
    assert {"error", "rate", "limit", "passes"} <= set(found["verdicts"][0])
    assert {"estimand", "effect", "replicates", "shares", "right"} == set(found["zones"][0])
    assert {"interval", "estimand", "replicates", "coverage", "passes"} <= set(found["stability"][0])
    assert {"people", "margin", "gap", "flag", "clear", "coverage", "passes"} <= set(found["cards"][0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--studies", "3"], "--studies 3: has to be 100"),
        (["--figure", "x.gif"], "no such format"),
        (["--figure", "no/where.png", "--seed", "-1"], "there is no folder no"),
    ],
)
def test_bad_arguments(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    assert said in capsys.readouterr().err


def test_what_fails_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("t", "gap", 3, True, 1.0, 0.90, 0.0022, 0.95, 1.0)
    monkeypatch.setattr("biasprop.coverage.intervals.rows", lambda *given, **more: [row])
    monkeypatch.setattr(
        "biasprop.coverage.verdicts.rates", lambda *given, **more: ([Rate("x", 3, True, 0, 0.05, 9)], [])
    )
    monkeypatch.setattr("biasprop.coverage.stability.rows", lambda *given, **more: [row])
    monkeypatch.setattr(command, "REPLICATES", (3,))
    assert command.main(["--studies", "100"]) == 3
    assert "coverage=0.9" in capsys.readouterr().err


def test_the_figure_draws_and_fits(covered: list[Row]) -> None:
    from matplotlib.text import Text

    drawn = figure.draw(covered, 0.01, 4.0)
    assert drawn.get_figwidth() == plotting.DOUBLE
    assert len(drawn.axes[0].get_lines()) == 1 + len(
        {row.estimand for row in covered if row.offered and not row.at_least}
    )
    with plotting.style():
        drawn.draw_without_rendering()
        for text in drawn.findobj(Text):
            box = text.get_window_extent()
            if text.get_visible() and text.get_text() and box.width:
                assert drawn.bbox.x0 - 1 <= box.x0 and box.x1 <= drawn.bbox.x1 + 1, text.get_text()


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--normal"]])
def test_the_whole_table(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for part, name in (("intervals", "interval"), ("verdicts", "error")):
        wrong = sorted((row for row in found[part] if not row["offered"]), key=lambda row: row[name].partition(":")[0])
        for key, group in groupby(wrong, key=lambda row: row[name].partition(":")[0]):
            # A retention is not offered from 3 replicates because it misses too often where it is given; counted over
            # all studies it does not.
            if not words and key not in ("Fieller", "retention"):
                assert not all(row["passes"] for row in group), key


@pytest.fixture(scope="module")
def said() -> list[cards.CardRate]:
    return cards.rates(3, 2_000, (50, 200, 4_000))


def test_a_card_flags_and_clears_wrongly_in_at_most_5_percent(said: list[cards.CardRate]) -> None:
    assert len(said) == 18 and all(rate.passes for rate in said)
    at = {(rate.people, round(rate.margin, 2), rate.gap): rate for rate in said}
    assert all(rate.clear == 0 for rate in said if rate.people <= 200), "no model is cleared by so few people"
    assert at[4_000, 0.3, 0.0].clear > 0.95 and at[4_000, 0.3, 2.0].flag > 0.95
    assert at[50, 0.3, 2.0].flag < at[200, 0.3, 2.0].flag < at[4_000, 0.3, 2.0].flag
    assert [rate for rate in said if rate.people == 50] == cards.rates(3, 2_000, (50,)), (
        "whatever other sizes there are"
    )


def test_a_card_without_the_condition_on_what_would_have_shown_fails_the_check() -> None:
    """Of people so few that intervals are wide, or with a decision by the value alone, models are cleared wrongly."""
    wrong = cards.CardRate(200, 0.1, 1.0, 0.02, 0.2, 0.95, 1.0, 0.5, 1_000)
    assert not wrong.passes
    assert not replace(wrong, clear=0.0, flag=0.2).passes and not replace(wrong, clear=0.0, coverage=0.9).passes
    assert replace(wrong, clear=0.0).passes and replace(wrong, gap=0.0).passes


def test_areas_of_many_studies_are_those_of_an_audit() -> None:
    random = np.random.default_rng(0)
    positive, negative = (np.sort(random.standard_normal((3, n)) + z, axis=1) for n, z in ((20, 1.0), (30, 0.0)))
    area, variance = cards.areas(positive, negative)
    for k in range(3):
        scores, labels = np.concatenate([positive[k], negative[k]]), np.repeat([1, 0], [20, 30])
        one = contributions.area(scores, labels, np.ones(50), np.arange(50), 50)
        assert (area[k], variance[k]) == pytest.approx((one.value, one.variance), rel=1e-12)
