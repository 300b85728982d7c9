"""Every figure of the table draws, twice the same bytes; what a study has not is left out with a reason."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import xarray as xr

from biasprop.estimands import estimand
from biasprop.report import figures, plotting
from biasprop.report.figures import FIGURES, contact_sheet, draw_all, forest, skipped
from biasprop.statistics.estimate import Estimate, estimates
from biasprop.statistics.measures import measure
from biasprop.study.load import load_study
from biasprop.study.study import Study
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).with_name("study.toml")
ONE_BUDGET = {"pretraining": ("all light", "50/50", "all dark"), "protocol": ("linear_probe", "full")}


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(STUDY)


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return synthetic_cube(replicates=4, subjects=120, diverged=1, open_arms=2)


@pytest.fixture(scope="module")
def cubes(cube: xr.Dataset) -> dict[str, xr.Dataset]:
    """The cube, or what of it a figure has room for, or with a factor that it needs."""
    noisy = {
        "score_noise": (("protocol", "subgroup"), [[0.0, 0.0], [0.0, 0.5]]),
        "noiseless": ("protocol", ["linear_probe", "linear_probe"]),
    }
    injected = cube.sel(labels=[200]).assign_coords(noisy)
    distances = cube.rename(labels="distance").assign_coords(distance=["10 mm", "35 mm", "35 mm, broad"])
    settings = synthetic_cube(ONE_BUDGET, replicates=12, subjects=60)
    levers = {"setting_dose": np.linspace(1, 2, 12), "setting_input_scale": ["fixed", "image", "cohort"] * 4}
    settings = settings.assign_coords({name: ("replicate", values) for name, values in levers.items()})
    return dict.fromkeys(FIGURES, cube) | {
        "test_mix": cube.sel(labels=[200]),
        "injected_skew": injected,
        "contrast_by_level": distances,
        "stability": settings,
    }


@pytest.fixture(scope="module")
def studies(study: Study) -> dict[str, Study]:
    """The study, or one that has what a figure shows."""
    everywhere = study.estimands[1].model_copy(update={"primary": True})
    factors = {"distance" if name == "labels" else name: factor for name, factor in study.factors.items()}
    factors["distance"] = factors["distance"].model_copy(update={"key": None})
    other = study.model_copy(update={"estimands": (everywhere,), "factors": factors})
    shares = [
        estimand(
            "sign_share",
            name=f"share of settings in which {' and '.join(subgroups)} keep the sign",
            subgroups=subgroups,
            factor="pretraining",
            reference="50/50",
            at={"pretraining": "all light"},
            replicate_sd=0.05,
            replicate_sd_from=6,
        )
        for subgroups in (("light", "dark"), ("light",))
    ]
    stable = study.model_copy(update={"estimands": tuple(shares)})
    return dict.fromkeys(FIGURES, study) | {"contrast_by_level": other, "stability": stable}


@pytest.fixture(scope="module")
def found(cube: xr.Dataset, study: Study) -> list[Estimate]:
    return estimates(measure(cube, study.evaluation.target_specificity), study.estimands)


@pytest.fixture(scope="module")
def tiles(study: Study) -> contact_sheet.Tiles:
    return contact_sheet.render(study, 12, levers=True)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch, tiles: contact_sheet.Tiles) -> None:
    """Rendering compiles for seconds; one rendering serves all tests."""
    monkeypatch.setattr(contact_sheet, "render", lambda study, subjects, *, levers: tiles)


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("name", FIGURES)
def test_draws_with_deterministic_bytes(
    name: str, cubes: dict[str, xr.Dataset], found: list[Estimate], studies: dict[str, Study], tmp_path: Path
) -> None:
    for turn in ("first", "second"):
        files = plotting.save(FIGURES[name](cubes[name], found, studies[name]), tmp_path / turn / name)
        assert [file.suffix for file in files] == [".svg", ".pdf", ".png"]
    for file in files:
        assert file.read_bytes() == (tmp_path / "first" / file.name).read_bytes()
        assert file.stat().st_size > 1_000


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("name", FIGURES)
def test_fits_the_page(
    name: str, cubes: dict[str, xr.Dataset], found: list[Estimate], studies: dict[str, Study]
) -> None:
    """Nothing is cut off: every text lies inside the figure, also where estimands have long names."""
    from matplotlib.text import Text

    longer = [replace(estimate, name=f"{estimate.name} of all people who were seen there") for estimate in found]
    figure = FIGURES[name](cubes[name], longer, studies[name])
    assert figure.get_figwidth() in (plotting.SINGLE, plotting.DOUBLE)
    plotting.lay_out(figure)
    with plotting.style():
        figure.draw_without_rendering()
        page = figure.bbox
        for text in figure.findobj(Text):
            box = text.get_window_extent()
            if text.get_visible() and text.get_text() and box.width:
                assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, text.get_text()
                assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, text.get_text()


def test_up_to_date_figures_are_not_drawn_again(
    cube: xr.Dataset, found: list[Estimate], study: Study, tmp_path: Path
) -> None:
    calls = []

    def blank(*given: object) -> object:
        calls.append(given)
        return plotting.page(1, 1)

    table = {"blank": blank}
    files = draw_all(cube, found, tmp_path, study, table)
    assert [file.name for file in files] == ["blank.svg", "blank.pdf", "blank.png"] and not skipped(tmp_path)
    assert draw_all(cube, found, tmp_path, study, table) == files and len(calls) == 1

    files[0].unlink()
    assert draw_all(cube, found, tmp_path, study, table) == files and files[0].is_file() and len(calls) == 2

    (tmp_path / figures.RECORD).write_text("{damaged")
    assert draw_all(cube, found, tmp_path, study, table) == files and len(calls) == 3


def test_other_scores_are_another_source(cube: xr.Dataset, study: Study, found: list[Estimate]) -> None:
    source = figures.drawn_from(cube, study)
    assert figures.drawn_from(cube.assign(checksum=cube["checksum"] + 1), study) != source
    assert figures.drawn_from(cube.assign(status=cube["status"] * 0), study) != source
    other = study.model_copy(update={"title": "Another"})
    assert figures.drawn_from(cube, other) != source
    assert figures.drawn_from(cube, study, estimates=found[:1]) != source


def test_what_does_not_fit_is_left_out_with_a_reason(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FIGURES, "contact_sheet")  # fits always
    monkeypatch.setattr(figures, "save", lambda figure, stem: plotting.save(figure, stem, ["png"]))
    whole = synthetic_cube(replicates=2, subjects=40, selection=8, calibration=40)
    files = draw_all(whole, [], tmp_path, study.model_copy(update={"estimands": ()}))
    assert {file.stem for file in files} == {"share_curves", "phase_diagram", "learning_curves"}
    assert skipped(tmp_path) == {
        "persistence": "the study has no swap contrast on z among its estimands",
        "skew_against_auc": "the study has no swap contrast on z among its estimands",
        "test_mix": "24 arms: at most 8 rows fit",
        "contrast_by_level": "no factor but the label budget has three numbered levels, and a contrast on z at each",
        "worth": "the study has no worth of pretraining among its estimands",
        "injected_skew": "no factor of subgroups has levels with score noise beside one without",
        "forest": "no estimate is defined (yet)",
        "stability": "the study has no estimand over sampled settings",
    }

    no_budget = synthetic_cube(ONE_BUDGET, replicates=2, subjects=40, selection=8, calibration=40)
    only = study.model_copy(update={"factors": {k: v for k, v in study.factors.items() if k != "labels"}})
    draw_all(no_budget, [], tmp_path, only)
    assert skipped(tmp_path)["persistence"] == "no factor varies finetuning.labels"
    assert not (tmp_path / "persistence.png").exists()

    no_share = whole.isel(pretraining=0, drop=True).drop_vars(["share", "objective"], errors="ignore")
    draw_all(no_share, [], tmp_path, study)
    assert skipped(tmp_path)["share_curves"] == "no factor varies the pretraining share"


def test_nothing_is_drawn_from_an_empty_cube(study: Study) -> None:
    """As while the first arms are still being trained."""
    empty = synthetic_cube(replicates=2, subjects=40, selection=8, calibration=40, open_arms=48)
    assert not (empty["status"] == 1).any()
    nothing = estimates(measure(empty, study.evaluation.target_specificity), study.estimands)
    for name in ("share_curves", "persistence", "forest"):
        with pytest.raises(plotting.NotApplicable, match=r"no replicate of any arm|no estimate"):
            FIGURES[name](empty, nothing, study)


def test_curves_show_the_values_of_the_statistics(cube: xr.Dataset, found: list[Estimate], study: Study) -> None:
    figure = FIGURES["persistence"](cube, found, study)
    drawn = [np.asarray(line.get_ydata()) for line in figure.axes[0].get_lines()]
    for protocol in ("linear_probe", "full"):
        stated = [e.value for e in found if e.name == "swap contrast" and e.arm["protocol"] == protocol]
        assert len(stated) == 3
        assert any(len(values) == 3 and np.allclose(values, stated, equal_nan=True) for values in drawn)


@pytest.mark.parametrize("budgets", [(50, 200, 1000), (25, 7000, 10_000)])
def test_near_budgets_are_told_apart(budgets: tuple[int, ...], cube: xr.Dataset, study: Study) -> None:
    """Their labels do not overlap, and every point of a curve is nearest to its own budget."""
    figure = FIGURES["persistence"](cube.assign_coords(labels=list(budgets)), [], study)
    for line in figure.axes[0].get_lines():
        x = np.asarray(line.get_xdata(), float)
        if len(x) == len(budgets):
            nearest = np.abs(x[:, None] - np.log10(budgets)).argmin(axis=1)
            assert nearest.tolist() == list(range(len(budgets)))
    plotting.lay_out(figure)
    with plotting.style():
        labels = [label.get_window_extent() for label in figure.axes[-1].get_xticklabels()]
    assert len(labels) == len(budgets)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(labels))


def test_colours_are_distinct_and_never_shared() -> None:
    table = plotting.SUBGROUP_COLOURS + plotting.ARM_COLOURS
    assert len(set(table)) == len(table) >= 7
    assert len(set(plotting.colours(["a", "b", "c", "d"]).values())) == 4
    assert len(set(plotting.markers([str(i) for i in range(8)]).values())) == 8


def test_the_users_style_changes_nothing(cube: xr.Dataset, found: list[Estimate], study: Study, tmp_path: Path) -> None:
    import matplotlib

    def drawn(name: str) -> bytes:
        return plotting.save(FIGURES["forest"](cube, found, study), tmp_path / name, ["svg"])[0].read_bytes()

    plain = drawn("plain")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": None}):
        assert drawn("loud") == plain
        assert matplotlib.rcParams["font.size"] == 20


def test_tiles_are_twins(tiles: contact_sheet.Tiles) -> None:
    assert tiles.twins.shape == (2, 12, 2, 16, 16, 3) and tiles.masks.shape == (2, 12, 2, 16, 16)
    assert np.array_equal(tiles.masks[:, :, 0], tiles.masks[:, :, 1])  # the lesion is the same on either skin
    assert not np.allclose(tiles.twins[:, :, 0], tiles.twins[:, :, 1])
    for name, (images, values) in tiles.levers.items():
        assert images.shape == (2, 6, 16, 16, 3), name
        assert (np.diff(values, axis=1) >= 0).all(), name


@pytest.mark.parametrize("groups", [1, 2, 3, 5, 7, 8, 12, 14])
def test_no_images_of_a_sheet_overlap(monkeypatch: pytest.MonkeyPatch, study: Study, groups: int) -> None:
    names, half = tuple(f"g{i}" for i in range(groups)), contact_sheet.steps(groups)
    sizes = (2, 2 * contact_sheet.across(groups), groups, 4, 4)
    levers = {"dose": (np.ones((2, half, 4, 4, 1)), np.full((2, half), -1.234e-05))}
    tiles = contact_sheet.Tiles(names, np.zeros((*sizes, 1)), np.zeros(sizes), levers)
    monkeypatch.setattr(contact_sheet, "render", lambda study, subjects, *, levers: tiles)
    generator = SimpleNamespace(subgroups=names, plain=study.generator.plain)
    figure = contact_sheet.draw(None, [], cast(Study, SimpleNamespace(generator=generator)), levers=True)
    axes = figure.axes[0]
    extents = [image.get_extent() for image in axes.get_images()]
    assert len(extents) == math.prod(sizes[:3]) + 2 * half
    for one, other in itertools.combinations(extents, 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[2] <= other[3] or other[2] <= one[3]
    figure.canvas.draw()
    numbers = [text.get_window_extent() for text in axes.texts if text.get_text() == "-1.23e-05"]
    assert len(numbers) == 2 * half and not any(
        one.overlaps(other) for one, other in itertools.combinations(numbers, 2)
    )
    headings = [text.get_window_extent() for text in axes.texts if "each measured lever" in text.get_text()]
    assert not headings[0].overlaps(headings[1])


def test_figures_need_neither_jax_nor_matplotlib_to_be_imported() -> None:
    check = (
        "import sys, biasprop.report.plotting, biasprop.report.figures, biasprop.show;"
        "print([name for name in ('jax', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_drawing_scores_needs_no_jax(tmp_path: Path) -> None:
    check = (
        "import sys; from types import SimpleNamespace as N; from tests.synthetic import synthetic_cube;"
        "from biasprop.report.figures import FIGURES;"
        "e = N(decisions=lambda: dict(target_specificity=0.8));"
        "s = N(label_budget='labels', factors={}, estimands=(), evaluation=e);"
        "FIGURES['share_curves'](synthetic_cube(replicates=2, subjects=40), [], s); print('jax' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"


def test_rows_of_a_forest_have_the_height_of_their_names() -> None:
    assert forest._places(["a", "b", "c"]) == [0.0, 1.0, 2.0, 3.0]
    assert forest._places(["a", "b\nb\nb", "c"]) == [0.0, 2.0, 4.0, 5.0]


def test_a_forest_is_one_page_high(cube: xr.Dataset, found: list[Estimate], study: Study) -> None:
    primary = next(one for one in found if one.primary)
    others = [one for one in found if one.role == "exploratory" and np.isfinite(one.value)]
    many = [*(others * forest.MAX_ROWS)[: forest.MAX_ROWS + 4], primary]
    figure = forest.draw(cube, many, study)
    rows = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert len(rows) == forest.MAX_ROWS and rows[0].startswith(primary.name)
    assert "\n5 more estimates are in the tables" in figure.axes[-1].get_xlabel()
    whole = forest.draw(cube, many[-3:], study)
    assert not any("more estimates" in axes.get_xlabel() for axes in whole.axes)
