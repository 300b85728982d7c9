"""What names a store: every number that matters, and nothing that may grow or be reworded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from biasprop.execution import encoders
from biasprop.study import design
from biasprop.study import digest as digests
from biasprop.study.load import load_study, remake
from biasprop.study.study import Study

EXAMPLE = (Path(__file__).parents[1] / "inputs" / "example.toml").read_text()
Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the example after some replacements of its text."""

    def load(*changes: tuple[str, str], **options) -> Study:
        text = EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "example.toml"
        path.write_text(text)
        return load_study(path, **options)

    return load


@pytest.mark.parametrize(
    "change",
    [
        ("Skin tone in pretraining", "Another title"),
        ("how much is left?", "is anything left?"),
        ("replicates = 6", "replicates = 7"),
        ("[50, 200, 1000, 5000]", "[20, 50, 200, 1000, 5000]"),
        ("[50, 200, 1000, 5000]", "[5000, 200, 1000, 50]"),
        ("margin = 0.10", "margin = 0.20"),
        ('{ name = "50/50", ', '{ name = "even", '),
        ("cohort = 100000", "cohort = 200000"),
        ('objective = "contrastive"', 'objective = { kind = "contrastive" }'),
        ("seed = 20261123", "# a remark\nseed = 2026_1123"),
    ],
)
def test_words_levels_and_replicates_are_left_out(load: Load, change: tuple[str, str]) -> None:
    assert load(change).digest == load().digest


@pytest.mark.parametrize(
    "change",
    [
        ("seed = 20261123", "seed = 20261124"),
        ("size = 32", "size = 64"),
        ("test = 2000", "test = 2001"),
        ("ita_mean = -20.0", "ita_mean = -20.5"),
        ("cohort = 20000", "cohort = 20001"),
        ("labels = 1000\nshares", "labels = 999\nshares"),
        ("[finetuning.protocol]", "[finetuning.protocol]\ndraws = 3"),
    ],
)
def test_every_number_of_the_condition_is_in_it(load: Load, change: tuple[str, str]) -> None:
    assert load(change).digest != load().digest


def test_the_order_of_subgroups_is_in_it_because_it_is_the_order_of_a_dim(load: Load) -> None:
    light, dark = 'light = "light"\n', "dark = { ita_mean = -20.0, ita_sd = 10.0 }\n"
    assert load((light + dark, dark + light)).digest != load().digest


def test_a_factor_more_is_another_cube(load: Load) -> None:
    more = '[factors.prevalence]\nkey = "pretraining.prevalence"\nlevels = [0.5]\n\n[[estimands]]'
    assert load(("[[estimands]]", more)).digest != load().digest


def test_replicates_of_the_command_line_never_change_it(load: Load) -> None:
    study = load(replicates=2)
    assert (study.replicates, study.digest) == (2, load().digest)


@pytest.mark.parametrize(
    "options",
    [
        {"set": ["title=Other"]},
        {"set": ["replicates=6"]},
        {"set": ["pretraining.cohort=20000"]},
        {"scale": "paper"},
        {"smoke": True},
    ],
)
def test_set_scale_and_smoke_always_change_it(load: Load, options: dict) -> None:
    assert load(**options).digest != load().digest


def test_it_is_the_same_whatever_the_order_of_overrides(load: Load) -> None:
    one, other = "finetuning.prevalence=0.4", "pretraining.cohort=5000"
    assert load(set=[one, other]).digest == load(set=[other, one]).digest != load(set=[one]).digest


def test_numerics_are_in_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load().digest
    monkeypatch.setattr(digests, "NUMERICS", digests.NUMERICS + 1)
    assert load().digest != before


def test_the_store_is_named_by_the_file_and_the_digest(load: Load) -> None:
    study = load()
    assert study.store("out") == Path("out") / f"example-{study.digest[:12]}"
    assert set(study.digest) <= set("0123456789abcdef") and len(study.digest) == 64


def test_a_study_can_be_made_again_from_how_it_came_about(load: Load) -> None:
    study = load(set=["pretraining.cohort=5000"], smoke=True, replicates=1)
    again = remake(study.origin)
    assert again == study
    assert again.digest == study.digest


ENCODERS = {
    "skin_tone": {"0893c9d5", "0cdaf599", "a1f8d3d3", "bd2dcaa8", "e3bb4b46", "f7743333"},
    "mitigation": {"035c56e0", "1ea7ae10", "735de5be", "bc4acdcf", "d094f820", "fadb621a"},
    "data_efficiency": {"7c0bd42c", "e1435b83", "f982dd03"},
}
"""First digits of the keys under which encoders of these studies are stored, at numerics version 4."""


@pytest.mark.parametrize("name", ENCODERS)
def test_stored_encoders_are_found_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is added to pretraining must not change the keys of studies that do not set it."""
    monkeypatch.setattr(encoders, "NUMERICS", 4)
    study = load_study(Path(__file__).parents[2] / "studies" / f"{name}.toml")
    assert {encoders.encoder_digest(cell.condition, study.seed)[:8] for cell in design.cells(study)} == ENCODERS[name]
