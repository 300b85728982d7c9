"""The ledger beside the arrays: read with the cube, no part of the results, made again where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biasprop.observers import ledger
from biasprop.report import difficulty
from biasprop.statistics.difficulty import Ledger, known
from biasprop.store import json_cache
from biasprop.store.ledger import FILE, read, write
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.study.load import load_study, remake
from biasprop.study.study import Origin, Study
from tests.source_tree import ROOT
from tests.store import small

TOLD = {"entries": [{"rows": [], "none": None}]}


def test_it_is_an_attribute_of_the_cube_and_moves_nothing_else(full: Store) -> None:
    before, digest, attrs = small.files(full.path), full.scores_digest(), dict(full.attrs)
    assert "ledger" not in open_cube(full.path).attrs
    write(full.path, TOLD)
    assert json.loads(open_cube(full.path).attrs["ledger"]) == TOLD
    again = Store.create_or_grow(full.path, small.layout(), small.ATTRS)
    assert again.scores_digest() == digest and again.attrs == attrs and small.files(full.path) == before
    assert not again.verify()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"checksum": 1}', None])
def test_a_damaged_one_is_none(full: Store, damage: bytes | None) -> None:
    write(full.path, TOLD)
    file = full.path / FILE
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"none"', b'"nine"') if damage is None else damage)
    assert read(full.path) is None and "ledger" not in open_cube(full.path).attrs
    write(full.path, TOLD)
    assert file.read_bytes() == content


# --- made once -------------------------------------------------------------------------------------------------------


@pytest.fixture
def study() -> Study:
    return load_study(ROOT / "studies" / "skin_tone.toml", smoke=True)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Caches of the test's own, and observers that only say that they were asked."""
    calls: list[str] = []

    def observed(condition: object, disease: int | None) -> Ledger:
        calls.append("observed")
        return known("told", "upper", {"light": 0.9, "dark": 0.9})

    def learned(condition: object, schedule: object, tell: object, disease: int | None) -> Ledger:
        calls.append("learned")
        return known("net", "learner", {"light": 0.8, "dark": 0.7})

    monkeypatch.setattr("biasprop.hardware.device.cache_folder", lambda: tmp_path / "caches")

    def modelled(condition: object, disease: int | None) -> Ledger:
        return known("linear", "model", {"light": 0.9, "dark": 0.8})

    monkeypatch.setattr("biasprop.observers.ideal.linear_model_rows", modelled)
    monkeypatch.setattr("biasprop.observers.ideal.observer_rows", observed)
    monkeypatch.setattr("biasprop.observers.learner.learner_rows", learned)
    return calls


def alike(some: list[ledger.Entry], others: list[ledger.Entry]) -> bool:
    """Unknown bounds are NaN, which is not equal to itself."""
    return repr(some) == repr(others)


def test_a_store_s_own_ledger_comes_first_and_damage_is_mended(tmp_path: Path, study: Study, made: list[str]) -> None:
    store = tmp_path / "store"
    entries = ledger.load_or_compute(study, store)
    ledger.save(store, entries)
    sound = (store / FILE).read_bytes()
    (tmp_path / "caches").rename(tmp_path / "gone")
    assert alike(ledger.load_or_compute(study, store), entries) and made == ["observed"], "the store's own"
    (store / FILE).write_bytes(sound[:-9])
    ledger.save(store, ledger.load_or_compute(study, store))
    assert (store / FILE).read_bytes() == sound and made == ["observed"] * 2
    (store / FILE).unlink()
    ledger.save(store, ledger.load_or_compute(study, store))
    assert (store / FILE).read_bytes() == sound and made == ["observed"] * 2, "the user's caches"


def test_a_learner_is_trained_when_asked_for_and_then_stays(tmp_path: Path, study: Study, made: list[str]) -> None:
    store = tmp_path / "store"
    ledger.save(store, ledger.load_or_compute(study, store))
    (entry,) = ledger.load_or_compute(study, store, learn=True)
    assert made == ["observed", "learned"]
    assert [row.kind for row in entry.ledger.rows] == [kind for kind in ("upper", "model", "learner") for _ in "ab"]
    ledger.save(store, [entry])
    (again,) = ledger.load_or_compute(study, store)
    assert alike([again], [entry]) and entry.where == {}
    assert alike(ledger.load_or_compute(study, learn=True), [entry]) and made == ["observed", "learned"]
    changed = load_study(ROOT / "studies" / "skin_tone.toml", ["generator.texture=0.05"], smoke=True)
    ledger.load_or_compute(changed, store)
    assert made == ["observed", "learned", "observed"], "another generator has another ledger"


def test_arms_are_held_against_equal_shares_and_the_largest_budget_from_scratch(study: Study, made: list[str]) -> None:
    places = ledger.places(study, ledger.load_or_compute(study))
    labels = [level.label for level in study.levels("labels")]
    assert len(places) == 5 * len(labels) * 2, "scratch is no mix"
    for place in places:
        assert place.balanced == place.arm | {"pretraining": "dark 0.5"}
        assert place.plenty == {"pretraining": "scratch", "labels": max(labels), "protocol": "full"}  # type: ignore[type-var]
    control = load_study(ROOT / "studies" / "gaussian_control.toml", smoke=True)
    found = ledger.places(control, ledger.load_or_compute(control))
    assert all(
        place.plenty is None and place.balanced and place.balanced["pretraining"] == "rows 0.5" for place in found
    )


def test_nothing_is_known_of_a_shifted_test(made: list[str]) -> None:
    from biasprop.report import tables

    plain = load_study(ROOT / "studies" / "skin_tone.toml", smoke=True)
    marked = load_study(ROOT / "studies" / "skin_tone.toml", ["evaluation.shifts.dark.marker_diseased=0.9"], smoke=True)
    for study, shifted in ((plain, False), (marked, True)):
        entries = ledger.load_or_compute(study)
        assert all(bool(place.ledger.rows) != shifted for place in ledger.places(study, entries))
        assert ("note" in ledger.as_json(entries)["entries"][0]) == shifted
        shown = tables.text(difficulty.tables(study, entries), 160)
        assert ("not even the upper one" in " ".join(shown.split())) == shifted
    assert made == ["observed"], "shifts of the test are no part of the ledger"


def test_a_factor_that_moves_the_generator_has_a_ledger_each(made: list[str]) -> None:
    text = (ROOT / "studies" / "skin_tone.toml").read_text()
    text = text.replace("labels = 200 }", "labels = 200, pigment = 0.2 }", 1)
    factor = '[factors.pigment]\nkey = "generator.pigment"\nlevels = [0.1, 0.2]\n\n'
    moved = remake(Origin(text=text.replace("[factors.labels]", factor + "[factors.labels]"), smoke=True))
    entries = ledger.load_or_compute(moved)
    assert [entry.where for entry in entries] == [{"pigment": [0.1]}, {"pigment": [0.2]}]
    for place in ledger.places(moved, entries):
        assert place.plenty is not None and place.plenty["pigment"] == place.arm["pigment"]


def test_every_disease_that_is_predicted_has_a_ledger(made: list[str]) -> None:
    study = load_study(ROOT / "tests" / "generators" / "chest_film.toml")
    entries = ledger.load_or_compute(study)
    assert [entry.where for entry in entries] == [{"disease": ["pneumonia"]}, {"disease": ["effusion"]}]
    assert [entry.title for entry in entries] == ["chest_film, pneumonia", "chest_film, effusion"]
    documents = ledger.as_json(entries)["entries"]
    assert [one.get("disease") for one in documents] == [None, "effusion"]
    assert len({one["key"] for one in documents}) == 2 and made == ["observed"] * 2
    assert all(place.ledger.rows for place in ledger.places(study, entries))


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    json_cache.write(tmp_path / "file" / "a.json", 1)
    assert json_cache.read(tmp_path / "file" / "a.json") is None
