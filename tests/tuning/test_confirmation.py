"""The tables of a confirmation: known numbers, choice on validation subjects, censored ratios, and searches refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.estimands.label_efficiency import LabelEfficiency
from biasprop.metrics import z_of_auc
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.study import design
from biasprop.study.study import Study
from paper import study_result
from paper.tuning import __main__ as tuning
from paper.tuning import confirmation, confirmation_page, rounds
from paper.tuning.page import page
from tests.filled import fill
from tests.synthetic import synthetic_cube

HERE = Path(__file__).parent
SETTINGS = """levels = [
  { name = "pretrained", set = { "pretraining.schedule.learning_rate" = 2e-3 } },
  { name = "scratch", set = { "pretraining.objective" = { kind = "scratch" } } },
]
"""
SEARCH = (HERE / "round.toml").read_text(encoding="utf-8")
TEXT = re.sub(r'levels = \[\n  \{ name = "fixed".*?\n\]\n', SETTINGS, SEARCH, flags=re.DOTALL)
TEXT = TEXT.replace("990003", "990005").replace("[50, 200]", "[200, 50, 1_000]")
TEXT = TEXT.replace('setting = "fixed"', 'setting = "scratch"').replace('setting = "cohort"', 'setting = "pretrained"')

NAN = float("nan")


def loaded(folder: Path, text: str) -> Study:
    (folder / "confirmed.toml").write_text(text, encoding="utf-8")
    (study,) = rounds.load(folder)
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return loaded(tmp_path_factory.mktemp("rounds"), TEXT)


def cube_of(study: Study, replicates: int = 6, **changed: Any) -> xr.Dataset:
    factors = {name: [level.label for level in study.levels(name)] for name in study.factors}
    return synthetic_cube(factors, replicates, subjects=200, calibration=40, **changed)


def tables_of(study: Study, monkeypatch: pytest.MonkeyPatch, z: Any, validation_auc: Any) -> dict[str, Any]:
    """The tables, as JSON has them, of z [setting, budget, protocol, replicate], which is .2 lower in the second
    subgroup, and of AUCs on validation subjects [setting, budget, protocol, replicate]."""
    first = np.asarray(z, float)
    measured = confirmation.Measured(
        settings=("pretrained", "scratch"),
        budgets=(50, 200, 1_000)[: first.shape[1]],
        protocols=("linear_probe", "full"),
        probes=(True, False),
        subgroups=("light", "dark"),
        z=np.stack([first, first - 0.2], axis=-1),
        validation_auc=np.broadcast_to(np.asarray(validation_auc, float), first.shape),
    )
    monkeypatch.setattr(confirmation, "_measured", lambda study, cube: measured)
    return json.loads(study_result.dumps(study_result.plain(confirmation.tables(study, xr.Dataset()))))


def text_of(tables: dict[str, Any]) -> str:
    return "\n\n".join(confirmation_page.sections(tables))


def test_known_worth_and_quality(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained = [[[1.2, 1.3, 1.4], [1.0, 1.0, 1.0]], [[1.4, 1.5, NAN], [1.0, 1.0, 1.0]]]
    scratch = [[[0, 0, 0], [1.1, 1.1, 1.1]], [[0, 0, 0], [1.2, 1.1, 1.0]]]
    found = tables_of(study, monkeypatch, [pretrained, scratch], [[[[0.8], [0.7]]] * 2, [[[0.6], [0.7]]] * 2])
    few, _, many, _ = found["worth"]
    assert (few["labels"], few["subgroup"]) == (50, "light")
    assert (few["protocol"], few["of_scratch"]) == ("linear_probe", "full")
    half = 4.302653 * 0.1 / 3**0.5  # t with 2 degrees of freedom
    assert (few["value"], few["n"]) == (0.2, 3)
    assert np.allclose([few["low"], few["high"]], [0.2 - half, 0.2 + half], atol=1e-5)
    assert few["z"] == {"mean": 1.3, "se": 0.057735} and few["z_of_scratch"] == {"mean": 1.1, "se": 0}
    # The pair that lacks a side counts on neither.
    assert (many["value"], many["n"]) == (0.3, 2) and many["z_of_scratch"]["mean"] == 1.15
    assert [row["labels"] for row in found["quality"]] == [50, 200]
    assert found["quality"][0]["value"] == 1.2 and found["quality"][0]["reached"] is None
    pilot = np.mean(z_of_auc([0.84, 0.80], 2, 1)[0])
    assert np.isclose(found["quality"][1]["pilot"], pilot) and found["quality"][1]["value"] == 1.35 > pilot
    assert found["quality"][1]["reached"] is True and found["quality"][1]["n"] == 2
    text = text_of(found)
    assert (
        "| pretrained | 50 | light | linear_probe | full | 1.300 +- 0.058 | 1.100 +- 0.000 | +0.200 | [-0.048," in text
    )
    assert "| aim | 200 | every |" in text and "| +0.150 |" in text
    assert "| pretrained | linear_probe | 50 | 1.200 |" in text and text.count("| yes |") == 1


def test_labels_used_are_those_of_the_study(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tables_of(study, monkeypatch, np.ones((2, 3, 2, 2)), 0.7)
    assert found["labels_used"] == {
        "calibration": 200,
        "most_validation": 100,
        "budgets": [
            {"labels": 50, "train": 40, "validation": 10},
            {"labels": 200, "train": 160, "validation": 40},
            {"labels": 1_000, "train": 900, "validation": 100},
        ],
    }
    text = " ".join(text_of(found).split())
    assert (
        "A fifth of them (at least 2, at most 100) validates" in text and "The 200 subjects of the calibration" in text
    )


def test_a_protocol_that_is_better_at_the_test_only_is_not_chosen(study: Study) -> None:
    cube = cube_of(study)
    diseased, is_full = cube["label"] - 0.5, cube["protocol"] == "full"
    cube["score"] = cube["score"] + xr.where(is_full, -1.0, 1.0) * diseased
    cube["selection_score"] = cube["selection_score"] + xr.where(is_full, 5.0, -5.0) * (cube["selection_label"] - 0.5)
    found = confirmation.tables(study, cube)
    assert {row["chosen"] for row in found["protocols"]} == {"full"}
    assert all(row["validation_auc"]["full"] > row["validation_auc"]["linear_probe"] for row in found["protocols"])
    z = measure(cube, 0.8)["z"].sel(setting="pretrained", labels=200, subgroup="dark").isel(draw=0)
    assert z.sel(protocol="full").mean() < z.sel(protocol="linear_probe").mean()
    (row,) = [r for r in found["worth"] if (r["labels"], r["subgroup"]) == (200, "dark")]
    assert np.isclose(row["z"]["mean"], z.sel(protocol="full").mean())
    assert [row["labels"] for row in found["protocols"]] == [50, 200, 1_000] * 2
    (probe,) = [row for row in found["quality"] if row["labels"] == 1_000]
    at = measure(cube, 0.8)["z"].sel(setting="pretrained", labels=1_000, protocol="linear_probe")
    assert np.isclose(probe["value"], at.mean())


@pytest.mark.parametrize(
    ("aucs", "protocol", "means", "replicates"),
    [
        ([[0.7, 0.8], [0.8, 0.9]], 1, [0.75, 0.85], 2),
        ([[0.7, 0.7], [0.7, 0.7]], 0, [0.7, 0.7], 2),
        ([[0.9, 0.5], [0.8, NAN]], 0, [0.9, 0.8], 1),  # on the replicate that has both
        ([[NAN, NAN], [0.6, 0.7]], 1, [NAN, 0.65], 2),
        ([[NAN, 0.8], [0.6, NAN]], None, [NAN, NAN], 0),
        ([[NAN, NAN], [NAN, NAN]], None, [NAN, NAN], 0),
    ],
)
def test_the_choice(aucs: list[list[float]], protocol: int | None, means: list[float], replicates: int) -> None:
    choice = confirmation.choose(np.array(aucs))
    assert (choice.protocol, choice.replicates) == (protocol, replicates)
    np.testing.assert_allclose(choice.mean, means)


def test_validation_subjects_of_one_class_are_left_out(study: Study) -> None:
    cube = cube_of(study)
    cube["selection_label"] = cube["selection_label"].where(
        (cube["labels"] != 50) | (cube["replicate"] > 1) | (cube["selection_label"] < 0), 1
    )
    found = confirmation.tables(study, cube)
    assert [(row["n"], row["without"]) for row in found["protocols"]] == [(4, 2), (6, 0), (6, 0)] * 2
    nothing = confirmation.tables(study, cube.assign(selection_label=0 * cube["selection_label"]))
    assert {row["chosen"] for row in nothing["protocols"]} == {None} and {row["n"] for row in nothing["worth"]} == {0}
    plain = json.loads(study_result.dumps(study_result.plain(nothing)))
    assert "| pretrained | 50 | light | - | - | - | - | - | - | 0 |" in text_of(plain)
    assert "| pretrained | 50 | light | - | - | 0 |" in text_of(plain) and "nan" not in text_of(plain).lower()


def test_label_efficiency_is_that_of_the_estimand(study: Study) -> None:
    cube = cube_of(study, replicates=7)
    steepness = 0.4 * np.log(cube["labels"] / 50) + 0.4 * (cube["setting"] == "pretrained")
    cube["score"] = cube["score"] + steepness * (cube["label"] - 0.5)
    cube["selection_score"] = cube["selection_score"] + 9.0 * (cube["protocol"] == "full") * (
        cube["selection_label"] - 0.5
    )
    found = confirmation.tables(study, cube)
    assert {row["chosen"] for row in found["protocols"]} == {"full"}
    estimand = LabelEfficiency(
        name="efficiency",
        kind="label_efficiency",
        factor="setting",
        reference="scratch",
        budget="labels",
        subgroups=("light", "dark"),
        at={"protocol": "full"},
    )
    read = 0
    for one in estimates(measure(cube, 0.8), [estimand]):
        at = (one.arm["labels"], "dark")
        (row,) = [row for row in found["efficiency"] if (row["labels"], row["subgroup"]) == at]
        assert row["n"] == one.replicates == 7
        assert (row["low"], row["high"]) == pytest.approx((one.low, one.high))
        assert np.isnan(one.value) == (row["value"] in (0, np.inf))
        if not np.isnan(one.value):
            read += 1
            assert row["value"] == pytest.approx(one.value)
    assert read >= 1


def test_ratios_beyond_the_budgets_of_scratch_are_bounds(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = np.array([1.0, 1.2, 1.4])[:, None, None] * np.ones((3, 2, 6))
    z = np.stack([curve, curve])
    z[0, 0] = 2.0  # never reached: more than 1,000 / 50
    z[0, 1] = [1.25, 1.35, 1.3, 1.2, 1.4, 1.3]
    z[0, 2] = 0.5  # reached with 50 labels: less than 50 / 1,000
    found = tables_of(study, monkeypatch, z, 0.7)
    never, half, _, at_once = (row for row in found["efficiency"] if row["subgroup"] == "light" or row["labels"] == 200)
    middle = np.exp((np.log(200) + np.log(1_000)) / 2) / 200
    assert (never["value"], never["low"], never["high"], never["n"]) == ("inf", 20.0, "inf", 6)
    assert half["value"] == pytest.approx(middle, rel=1e-5) and half["low"] < middle < half["high"] < 5
    assert (at_once["value"], at_once["low"], at_once["high"]) == (0.0, 0.0, 0.05)
    text = text_of(found)
    assert "| pretrained | 50 | light | > 20 | > 20 | 6 |" in text
    assert "| pretrained | 200 | light | 2.24 | [1.23, 4.06] | 6 |" in text
    assert "| pretrained | 1,000 | light | < 0.05 | < 0.05 | 6 |" in text
    assert "| aim |  | every | 3.00 |" in text


def test_a_replicate_without_the_whole_curve_is_left_out(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = np.array([1.0, 1.2, 1.4])[:, None, None] * np.ones((3, 2, 6))
    z = np.stack([curve + 0.1, curve])
    z[1, 2, :, 0] = NAN
    found = tables_of(study, monkeypatch, z, 0.7)
    assert {row["n"] for row in found["efficiency"]} == {5}
    assert found["efficiency"][0]["value"] == pytest.approx(2.0)
    z[1, 2, :, 1:5] = NAN
    found = tables_of(study, monkeypatch, z, 0.7)
    assert {row["n"] for row in found["efficiency"]} == {1} and found["efficiency"][0]["low"] is None
    assert "| pretrained | 50 | light | 2.00 | - | 1 |" in text_of(found)


def test_a_search_is_refused(tmp_path: Path) -> None:
    (study,) = rounds.load(HERE)
    for read in (lambda: confirmation.tables(study, cube_of(study)), lambda: confirmation.read(study, tmp_path)):
        with pytest.raises(ValueError, match="seed 990003 is not that of a confirmation"):
            read()


def test_a_store_becomes_the_tables(study: Study, tmp_path: Path) -> None:
    small = TEXT.replace("replicates = 3", "replicates = 2").replace("[200, 50, 1_000]", "[50, 200]")
    study = loaded(tmp_path, small)
    fill(study, study.store(tmp_path / "stores"), design.cells(study))
    given = ["--rounds", str(tmp_path), "--results", str(tmp_path / "stores"), "--out", str(tmp_path)]
    assert tuning.main(given) == 0
    value = json.loads((tmp_path / "tuning.json").read_text(encoding="utf-8"))
    (one,) = value["rounds"]
    assert one["use"] == "confirmation" and len(one["confirmation"]["worth"]) == 4
    text = (tmp_path / "tuning.md").read_text(encoding="utf-8")
    assert text == page(value) and re.findall(r"^### (\w+)", text, re.MULTILINE) == [
        "Labels", "Quality", "Protocols", "Worth", "Label"
    ]  # fmt: skip
    assert "no longer blind" in text and "nan" not in text.lower()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("scratch", "untrained", "factors.setting.levels: lack 'scratch'"),
        ("pretrained", "contrastive", r"factors.setting.levels\[0\]: is not 'pretrained', the first"),
        (
            '"pretraining.objective" = { kind = "scratch" }',
            '"encoder.normalisation" = "cohort"',
            r"factors.setting.levels\[1\]: is pretrained; its pretraining.objective has to be scratch",
        ),
        ("labels", "budgets", "factors.labels: is missing"),
    ],
)
def test_what_is_no_confirmation_is_bad_input(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    text = TEXT
    if old.startswith('"'):
        text = text.replace(old, new)
    else:  # a name, wherever it stands
        for form in ('name = "{}"', 'setting = "{}"', "[factors.{}]", ", {} = 200"):
            text = text.replace(form.format(old), form.format(new))
    assert text != TEXT
    with pytest.raises(InputError, match=complaint):
        loaded(tmp_path, text)
