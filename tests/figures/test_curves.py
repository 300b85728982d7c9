"""One function draws any measure over any two factors; the command around it names what it does not know."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr

from biasprop import draw
from biasprop.component import InputError
from biasprop.report import results
from biasprop.report.figures import curves
from biasprop.report.plotting import DOUBLE, SINGLE, NotApplicable, save
from biasprop.statistics.measures import measure, per_replicate
from biasprop.study.load import load_study
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).with_name("study.toml")
AT = {"protocol": "full"}


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    cube = synthetic_cube(replicates=4, subjects=120, diverged=1, open_arms=2)
    return measure(cube.assign(pretext_loss=cube["pretext_loss"].fillna(1.5)), 0.9)  # as where a study asks for it


def test_every_measure_and_every_two_factors(measures: xr.Dataset) -> None:
    factors = ("pretraining", "labels", "protocol")
    names = curves.measures_of(measures)
    assert {"auc", "z_gap", "own_sensitivity", "separability", "flip_rate"} < set(names) and len(names) > 20
    for name, (x, by) in zip(names, itertools.cycle(itertools.permutations(factors, 2)), strict=False):
        figure = curves.draw(measures, name, x, by)
        paneled = "subgroup" in measures.get(name, measures["status"]).dims
        assert figure.get_figwidth() == (DOUBLE if paneled else SINGLE)
        (left,) = set(factors) - {x, by}
        assert len(figure.axes) == measures.sizes[left] * (2 if paneled else 1)


def test_curves_are_means_over_replicates_taken_on_z(measures: xr.Dataset) -> None:
    figure = curves.draw(measures, "auc", "labels", "pretraining", at=AT, subgroups=["dark"])
    (axes,) = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [str(name) for name in measures["pretraining"].values]
    z = per_replicate(measures, "z").sel(AT).sel(subgroup="dark")
    drawn = [container.lines[0].get_ydata() for container in axes.containers]  # pyright: ignore[reportAttributeAccessIssue]
    for name, values in zip(names, drawn, strict=True):
        expected = ndtr(z.sel(pretraining=name).transpose("labels", "replicate").mean("replicate") / np.sqrt(2))
        assert np.allclose(values, expected)


def test_a_gap_is_between_the_subgroups_that_are_named(measures: xr.Dataset) -> None:
    gaps = []
    for pair in (["light", "dark"], ["dark", "light"]):
        (axes,) = curves.draw(measures, "z_gap", "labels", at=AT | {"pretraining": "all light"}, subgroups=pair).axes
        gaps.append(np.asarray(axes.containers[0].lines[0].get_ydata()))  # pyright: ignore[reportAttributeAccessIssue]
    assert np.allclose(gaps[0], -gaps[1]) and np.all(gaps[0] != 0)


def test_the_same_figure_has_the_same_bytes(measures: xr.Dataset, tmp_path: Path) -> None:
    files = [save(curves.draw(measures, "auc", "labels", "protocol"), tmp_path / name) for name in ("one", "other")]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"measure": "aucs", "x": "labels"}, "no measure 'aucs'; allowed: .* did you mean auc"),
        ({"measure": "auc", "x": "label"}, "no factor 'label'; .* did you mean labels"),
        ({"measure": "auc", "x": "labels", "by": "labels"}, "one of the three"),
        ({"measure": "auc", "x": "labels", "at": {"labels": 50}}, "one of the three"),
        ({"measure": "auc", "x": "labels", "at": {"protocol": "fll"}}, "no level 'fll'; .* did you mean full"),
        ({"measure": "auc", "x": "labels", "subgroups": ["drak"]}, "no subgroup 'drak'; .* did you mean dark"),
        ({"measure": "z_gap", "x": "labels", "subgroups": ["dark"]}, "needs exactly two subgroups"),
    ],
)
def test_what_is_not_there_is_named(measures: xr.Dataset, given: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        curves.draw(measures, **given)


def test_too_much_is_refused(measures: xr.Dataset) -> None:
    many = xr.concat([measures.assign_coords(labels=measures["labels"] + k) for k in range(5)], "labels")
    with pytest.raises(NotApplicable, match="fix labels"):
        curves.draw(many, "auc", "pretraining", "protocol")
    with pytest.raises(NotApplicable, match="15 curves"):
        curves.draw(many, "auc", "pretraining", "labels", at=AT)
    with pytest.raises(NotApplicable, match="finished"):
        curves.draw(measures.where(measures["status"] > 9), "auc", "labels", at=AT)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cube = synthetic_cube(replicates=3, subjects=60, selection=8, calibration=80)
    study, store, file = load_study(STUDY), tmp_path / "demo-0123456789ab", tmp_path / "gap.svg"
    monkeypatch.setattr(results, "stored", lambda path: (study, cube, path))
    levels = [str(level.label) for level in study.levels("protocol")]
    line = [str(store), "z_gap", "--x", "labels", "--by", "pretraining", "--at", f"protocol={levels[0]}"]
    assert draw.main([*line, "--out", str(file)]) == 0
    assert file.read_text().startswith("<?xml") and capsys.readouterr().out == f"{file}\n"
    for words, told in (
        (["--out", str(tmp_path / "gap.jpg")], "no such format"),
        (["--out", str(tmp_path / "none" / "gap.svg")], "there is no folder"),
        (["--at", "protocol=fll"], "--at protocol=fll: protocol has no level 'fll'"),
        (["--at", f"protocol={levels[1]}"], "--at protocol: give one level"),
    ):
        assert draw.main([*line, *words]) == 2
        assert told in capsys.readouterr().err
