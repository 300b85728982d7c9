"""Tables with several images of a person, and studies of several tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys, load_study
from biasprop.component import InputError
from biasprop.datasets import datasets
from biasprop.datasets.people import Files, People, read
from biasprop.generators.own_images import OwnImages
from biasprop.interfaces import Part, Subjects
from biasprop.study import design
from biasprop.study.plan import plan
from biasprop.study.study import Study
from biasprop.training.people import with_people
from tests.datasets import digits

PEOPLE, IMAGES = 480, 4


def write(folder: Path, people: int = PEOPLE, images: int = IMAGES, name: str = "people") -> None:
    """A table, and a vector of every row: its number, and whose it is."""
    row = np.arange(people * images)
    person = row // images
    np.savez(
        folder / f"{name}.npz",
        person=person,
        range=np.where(person % 2, "small", "large"),
        odd=person // 2 % 2,
        split=np.array(["train", "val", "test"])[person // 4 % 3],
        features=np.stack([row, person], axis=1).astype(np.float32),
    )


def study_file(folder: Path, more: str = "", name: str = "people") -> Path:
    """A study of such a table, whose sets fit into the parts of 160 people; ``more`` is put behind it."""
    what = f'embeddings = "{folder}/{name}.npz"\nperson = "person"\nsplit = "split"'
    file = digits.study(folder, what, "embeddings", "scratch")
    text = file.read_text().replace("digits.npz", f"{name}.npz").replace("test = 60", "test = 40")
    file.write_text(text + more)
    return file


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("people")
    write(folder)
    return load_study(study_file(folder))


def people_of(study: Study) -> People:
    return datasets.of(study.generator.digest).people


def taken(study: Study, part: Part, replicate: int = 0) -> np.ndarray:
    """Rows of all people of a part, stratum by stratum in the order of a replicate."""
    condition = design.cells(study)[0].condition
    generator: Any = with_people(condition, keys.replicate(study.seed, replicate)).generator
    strata = [(g, y) for g in range(2) for y in range(2)]
    return np.concatenate(
        [np.asarray(generator.row(part, g, y, np.arange(generator.available[part, g, y]))) for g, y in strata]
    )


def test_a_person_is_one_subject_of_all_sets_of_a_part(study: Study) -> None:
    assert study.generator.rows == PEOPLE * IMAGES
    for part in (Part.FINETUNING, Part.EVALUATION):
        assert (study.generator.available[part] == PEOPLE // 12).all()
        rows = taken(study, part)
        assert len(set((rows // IMAGES).tolist())) == len(rows) == PEOPLE // 3
    cohort = taken(study, Part.PRETRAINING)
    assert len(set(cohort.tolist())) == len(cohort) == PEOPLE // 3 * IMAGES, "every image is one subject of pretraining"


def test_replicates_take_other_images_of_a_person_in_another_order(study: Study) -> None:
    one, other = (taken(study, Part.EVALUATION, replicate) for replicate in (0, 1))
    assert set((one // IMAGES).tolist()) == set((other // IMAGES).tolist())
    assert (one // IMAGES != other // IMAGES).mean() > 0.8
    image = [dict(zip((rows // IMAGES).tolist(), (rows % IMAGES).tolist(), strict=True)) for rows in (one, other)]
    assert 0.5 < np.mean([image[0][person] != image[1][person] for person in image[0]]) < 0.95
    assert set(image[0].values()) == set(range(IMAGES))


def test_people_with_many_images_are_not_taken_first(tmp_path: Path) -> None:
    """Half of the people of a stratum have 9 images, and half have 1."""
    person = np.concatenate([np.repeat(np.arange(0, 800, 2), 9), np.arange(1, 800, 2)])
    n = len(person)
    arrays = {"person": person, "odd": person // 2 % 2, "range": np.where(person // 4 % 2, "small", "large")}
    np.savez(tmp_path / "people.npz", **arrays, split=np.full(n, "test"), features=np.ones((n, 1)))
    rows = taken(load_study_of_parts(tmp_path), Part.EVALUATION)
    many = person[rows].reshape(4, 200) % 2 == 0
    assert many[:, :100].mean() == pytest.approx(0.5, abs=0.1)


def load_study_of_parts(folder: Path) -> Study:
    """A study that is not checked for the number of people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("biasprop.study.validate.people_problems", lambda study: [])
        return load_study(study_file(folder))


def test_no_person_is_taken_in_place_of_another(study: Study) -> None:
    condition = design.cells(study)[0].condition
    generator: Any = with_people(condition, keys.replicate(1, 0)).generator
    count = int(generator.available[Part.EVALUATION, 1, 1])
    rows = generator.row(Part.EVALUATION, 1, 1, jnp.array([count - 1, count, 2 * count]))
    assert rows[0] < generator.rows and (rows[1:] == generator.rows).all()
    last, none = (generator.observe(Subjects(None, 1, 1, row=row))["features"] for row in rows[:2])  # pyright: ignore[reportArgumentType]
    assert last[0] == rows[0] and np.isnan(none).all()


def test_people_whose_rows_differ_have_one_label_and_one_subgroup(tmp_path: Path) -> None:
    rows = ["f,0,a,test", "f,1,a,test", "m,1,a,test", "f,1,a,test"]  # diseased, first so as f
    rows += ["m,0,b,val", "f,0,b,val"]  # healthy, first m
    rows += ["m,0,c,train", "f,1,c,train"]  # for pretraining: two subjects
    rows += ["f,0,d,test", "m,1,e,test"]
    (tmp_path / "a.csv").write_text("\n".join(["sex,sick,person,split", *rows]) + "\n")
    subgroups = (("f", (("f",),)), ("m", (("m",),)))
    parts = (("train",), ("val",), ("test",))
    files = Files(str(tmp_path / "a.csv"), ("sex",), subgroups, "sick", person="person", split="split", parts=parts)
    found = read(files)
    assert found.rows.tolist() == [1, 3, 4, 6, 7, 8, 9]
    assert found.left_out == {"of people who have another label or subgroup": 3}
    assert found.person[0] == found.person[1] and len(set(found.person.tolist())) == 6
    assert found.available.tolist() == [[[0, 1], [1, 0]], [[0, 0], [1, 0]], [[1, 1], [0, 1]]]


def test_people_and_not_rows_are_counted(study: Study, tmp_path: Path) -> None:
    write(tmp_path)
    file = study_file(tmp_path)
    with pytest.raises(InputError, match=r"evaluation.test: needs 150 people of every subgroup, .* enough for 60: "):
        load_study(file, set=["evaluation.test=150"])
    text = "\n".join(plan(study, design.cells(study), tmp_path, resolution=False).lines())
    assert "evaluation: small 40 + 40, large 40 + 40" in text and "pretraining: small 160 + 160" in text


TABLES = """
[factors.table]
levels = [
  {{ name = "many", set = {{ "generator.target" = "odd" }} }},
  {{ name = "few", set = {{ "generator.table" = "{0}/few.npz", "generator.embeddings" = "{0}/few.npz" }} }},
]
"""


def test_every_table_of_a_study_needs_enough_people(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, 240, name="few")
    file = study_file(tmp_path, TABLES.format(tmp_path))
    text = file.read_text().replace("at = { labels = 32 }", 'at = { labels = 32, table = "few" }')
    file.write_text(text)
    with pytest.raises(InputError) as error:
        load_study(file)
    assert len(error.value.problems) == 1, error.value.problems
    assert "evaluation.test: with the table of small, few: needs 40 people of every subgroup" in error.value.problems[0]
    study = load_study(file, set=["evaluation.test=20", "evaluation.selection=4", "finetuning.protocol.draws=1"])
    lines = plan(study, design.cells(study), tmp_path, resolution=False).lines()
    assert sum(" rows of " in line for line in lines) == 2


def test_every_setting_of_a_sample_needs_enough_people(tmp_path: Path) -> None:
    write(tmp_path)
    lever = '\n[sample]\nsize = 2\nseed = 1\n[sample.levers.draws]\nkey = "finetuning.protocol.draws"\nlevels = [{}]\n'
    load_study(study_file(tmp_path, lever.format("1, 2")))
    for levels in ("2, 9", "9, 2"):
        with pytest.raises(InputError, match=r"finetuning.labels: needs 26 people to train on in each of 9 draws"):
            load_study(study_file(tmp_path, lever.format(levels)))


@pytest.mark.parametrize("key", ["embeddings", "target"])
def test_levels_of_files_and_columns_have_digests_of_their_own(tmp_path: Path, key: str) -> None:
    write(tmp_path)
    arrays = dict(np.load(tmp_path / "people.npz"))
    np.savez(tmp_path / "people.npz", **arrays, even=1 - arrays["odd"])
    np.savez(tmp_path / "other.npz", features=-arrays["features"])
    first, other = {
        "embeddings": (f"{tmp_path}/people.npz", f"{tmp_path}/other.npz"),
        "target": ("odd", "even"),
    }[key]
    file = study_file(tmp_path, f'\n[factors.model]\nkey = "generator.{key}"\nlevels = ["{first}", "{other}"]\n')
    file.write_text(file.read_text().replace("at = { labels = 32 }", f'at = {{ labels = 32, model = "{first}" }}'))
    study = load_study(file)
    assert len({cell.condition.generator.digest for cell in design.cells(study)}) == 2
    (levels,) = [factor.levels for factor in design.layout(study).factors if factor.name == "model"]
    assert "generator.digest" not in levels[0][1] and "generator.digest" in levels[1][1]
    load_study(file, smoke=True)
    with pytest.raises(InputError, match=r"generator.digest: is .*, but the contents of"):
        load_study(file, set=[f"generator.digest='{study.generator.digest}'"])


def test_arrays_of_other_contents_are_never_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders whose files have the same relative paths, sizes and times."""
    found = {}
    for name in ("one", "two", "one"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        n = np.arange(40)
        arrays = {"sick": n // 2 % 2, "sex": np.where(n % 2, "f", "m")}
        np.savez("t.npz", **arrays, images=np.full((40, 8, 8), len(name) + (name == "two"), np.uint8))
        np.save("e.npy", np.full((40, 3), float(name == "two")))
        for file in ("t.npz", "e.npy"):
            os.utime(file, ns=(10**18, 10**18))
        people = {"attributes": ("sex",), "subgroups": {"f": {}, "m": {}}}
        how = {"images": "t.npz:images", "embeddings": "e.npy", "size": 8, "channels": 1}
        read = datasets.of(OwnImages(table="t.npz", target="sick", **how, **people).digest).arrays()  # pyright: ignore[reportArgumentType]
        assert float(read["features"][0, 0]) == float(name == "two")
        assert int(read["image"][0, 0, 0, 0]) == len(name) + (name == "two")
        found[name] = read
    assert len(found) == 2
