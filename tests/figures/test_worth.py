"""The figure of worth, and the contrast against a numbered factor, on measures whose true values are known."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.report import plotting
from biasprop.report.figures import contrast_by_level, worth
from biasprop.statistics.handed_on import HandedOn, handed_on
from biasprop.study.load import load_study
from biasprop.study.study import Study

STUDIES = Path(__file__).parents[2] / "studies"
REPLICATES = 8


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(STUDIES / "worth.toml")


def measures_of(study: Study, z: np.ndarray) -> xr.Dataset:
    """Measures of a study: z [factors, subgroup] plus noise, partly shared by the arms of a replicate."""
    noise = np.random.default_rng(1).standard_normal
    dims = (*study.factors, "replicate", "draw")
    shape = (*z.shape[:-1], REPLICATES, 1)
    values = np.broadcast_to(z[..., None, None, :], (*shape, z.shape[-1]))
    values = values + 0.05 * noise((*shape, z.shape[-1])) + 0.1 * noise((REPLICATES, 1, 1))
    coords = {name: [level.label for level in study.levels(name)] for name in study.factors}
    return xr.Dataset(
        {
            "z": ((*dims, "subgroup"), values),
            "validation_auc": (dims, np.full(shape, 0.8)),
            "status": (dims, np.ones(shape, int)),
        },
        {**coords, "subgroup": list(study.subgroups)},
    )


@pytest.fixture(scope="module")
def cube(study: Study) -> xr.Dataset:
    """Pretraining is worth .1 to .5; it hands on half of that in dark skin, and in light skin something unrelated."""
    value = np.linspace(0.1, 0.5, 9).reshape(3, 3)
    z = np.ones((3, 4, 3, 2, 2))  # regime, mix, labels, protocol, subgroup
    z[:, :3] += value[:, None, :, None, None]
    z[:, 0, ..., 1] -= value[:, :, None] / 4
    z[:, 2, ..., 1] += value[:, :, None] / 4
    unrelated = np.array([[1, -1, 1], [-1, 0, -1], [1, 1, -1]]) / 10
    z[:, 0, ..., 0] += unrelated[:, :, None] + 0.1
    return measures_of(study, z)


def by_kind(found: list[HandedOn]) -> dict[tuple[str, str], HandedOn]:
    return {(one.kind, one.subgroup): one for one in found}


def test_worth_and_what_is_handed_on_are_of_the_same_conditions(study: Study, cube: xr.Dataset) -> None:
    found = by_kind(handed_on(cube, study.estimands))
    assert set(found) == {("own_representation", "light"), ("own_representation", "dark"), ("excess_gap", "")}
    dark = found["own_representation", "dark"]
    assert dark.worth.shape == dark.values.shape == (REPLICATES, 18)
    assert dark.arms[0] == {"regime": "clean", "labels": 50, "protocol": "linear_probe"}
    z = cube["z"].isel(draw=0).sel(dark.arms[-1] | {"subgroup": "dark"})
    np.testing.assert_allclose(dark.values[:, -1], z.sel(pretraining="dark 1") - z.sel(pretraining="dark 0"))
    # At equal validation AUC the first protocol is chosen on both sides.
    z = cube["z"].isel(draw=0).sel(dark.arms[-1] | {"protocol": "linear_probe", "subgroup": "dark"})
    np.testing.assert_allclose(dark.worth[:, -1], z.sel(pretraining="dark 0.5") - z.sel(pretraining="scratch"))
    gap = found["excess_gap", ""]
    np.testing.assert_allclose(gap.worth, (dark.worth + found["own_representation", "light"].worth) / 2)
    assert len(dark.only(protocol="full").arms) == 9


def test_the_correlation_is_that_of_true_values(study: Study, cube: xr.Dataset) -> None:
    found = by_kind(handed_on(cube, study.estimands))
    assert found["own_representation", "dark"].correlation().low > 0.8
    light = found["own_representation", "light"].correlation()
    assert light.low < 0.2 and abs(light.value) < 0.6


def test_both_axes_have_replicates_of_their_own(study: Study, cube: xr.Dataset) -> None:
    one = handed_on(cube, study.estimands)[0]
    x, y = one.disjoint()
    np.testing.assert_array_equal(x, one.worth[[0, 2, 4, 6]])
    np.testing.assert_array_equal(y, one.values[[1, 3, 5, 7]])


def texts(figure: object) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]  # pyright: ignore


def test_means_of_no_one_and_several_replicates_raise_no_warning() -> None:
    half = np.array([[np.nan, 0.1, 0.1], [np.nan, np.nan, 0.3], [np.nan, np.nan, 0.8]])
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, error = worth._mean(half)
    np.testing.assert_allclose(mean, [np.nan, 0.1, 0.4])
    np.testing.assert_allclose(error, [0.0, 0.0, half[:, 2].std(ddof=1) / np.sqrt(3)])


def test_the_figure_of_worth(study: Study, cube: xr.Dataset, tmp_path: Path) -> None:
    figure = worth.draw(cube, [], study)
    assert len(figure.axes) == 4
    points = [line for line in figure.axes[0].get_lines() if line.get_marker() in ("o", "s", "^")]
    assert len(points) == 18, "three regimes, three budgets, two subgroups"
    assert sum(text.startswith("dark: r = +") for text in texts(figure)) == 3, "each protocol, and both"
    (file,) = plotting.save(figure, tmp_path / "worth", ["png"])
    assert file.stat().st_size > 10_000
    few = worth.draw(cube.isel(replicate=slice(4)), [], study)  # an interval from two replicates is cut, not the points
    assert all(np.ptp(axes.get_ylim()) < 1.5 for axes in few.axes)
    with pytest.raises(plotting.NotApplicable, match="no worth"):
        others = tuple(one for one in study.estimands if one.kind != "worth")
        worth.draw(cube, [], study.model_copy(update={"estimands": others}))
    with pytest.raises(plotting.NotApplicable, match="no replicate"):
        worth.draw(cube.assign(z=cube["z"] * np.nan), [], study)


@pytest.mark.parametrize("name", ["tone_distance", "tone_distance_full"])
def test_the_effect_against_the_distance(name: str, tmp_path: Path) -> None:
    study = load_study(STUDIES / f"{name}.toml")
    shape = tuple(len(study.levels(factor)) for factor in study.factors)
    z = np.ones((*shape, 2))
    distance = np.array([float(level.label.split()[0]) for level in study.levels("distance")])
    last = shape[1] - 1
    for mix, subgroup in ((0, 0), (last, 1)):
        z[:, mix, ..., subgroup] += distance[:, None, None] / 100
    figure = contrast_by_level.draw(measures_of(study, z), [], study)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "distance (degrees)" and axes.get_ylabel() == "swap contrast on z"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [f"{d:.0f}" for d in sorted(set(distance))]
    apart = sum("," in level.label for level in study.levels("distance"))
    curves = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) == shape[0] - apart > 2]
    assert len({line.get_color() for line in curves}) == 4, "two protocols at two budgets"
    mean = [np.asarray(line.get_ydata()) for line in curves if line.get_linestyle() == "-"]
    np.testing.assert_allclose(mean[0], sorted(distance[: shape[0] - apart] / 100), atol=0.1)
    plotting.save(figure, tmp_path / name, ["png"])


def test_levels_with_one_number_each_are_numbers() -> None:
    assert contrast_by_level.numbered([1_000, 5_000]) == {1_000: (1_000.0, "#"), 5_000: (5_000.0, "#")}
    assert contrast_by_level.numbered(["dark 0", "dark 0.5"]) == {
        "dark 0": (0.0, "dark #"),
        "dark 0.5": (0.5, "dark #"),
    }
    assert contrast_by_level.numbered(["dark 0", "scratch"]) == {}
    assert contrast_by_level.numbered(["90/10", "50/50"]) == {}
