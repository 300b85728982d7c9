"""Files that cannot be used are refused in one error, with file, row, column and what to do."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from biasprop import load_study
from biasprop.component import InputError
from biasprop.datasets import arrays, datasets, pictures
from tests.datasets import digits
from tests.datasets.small_tables import HEADER, SPLITS, made, rows
from tests.source_tree import ROOT

GENERATOR = {
    "kind": '"images"',
    "file": '"name"',
    "target": '"sick"',
    "attributes": '["sex"]',
    "subgroups": '{ small = { values = ["female"] }, large = { values = ["male"] } }',
    "person": '"person"',
    "split": '"split"',
    "size": "8",
    "channels": "3",
}
SIZES = ["pretraining.cohort=32", "pretraining.schedule.batch=8", "finetuning.protocol.draws=1", "evaluation.test=20"]
SIZES += ["evaluation.selection=4", "evaluation.calibration=20"]


def load(folder: Path, *more: str, digits_folder: Path, **changes: str) -> Any:
    """Load a study of a table in a folder, with other keys of the generator."""
    table = {"table": f'"{folder}/people.csv"'} | GENERATOR | changes
    generator = "{" + ", ".join(f"{key} = {value}" for key, value in table.items() if value) + "}"
    return load_study(digits.study(digits_folder), set=[f"generator={generator}", *SIZES, *more])


def problem(folder: Path, digits_folder: Path, **changes: str) -> str:
    """The one problem of a study."""
    (found,) = problems_of(folder, digits_folder, **changes)
    return found


def problems_of(folder: Path, digits_folder: Path, **changes: str) -> list[str]:
    """The problems of a study, without the option that states the generator."""
    with pytest.raises(InputError) as error:
        load(folder, digits_folder=digits_folder, **changes)
    return [text[text.index("generator", len("--set generator=")) :] for text in error.value.problems]


Change = Callable[[list[list[str]]], None]


def column(name: str, value: Callable[[int], str]) -> Change:
    """Replace a column."""

    def change(cells: list[list[str]]) -> None:
        for i, line in enumerate(cells):
            line[HEADER.split(",").index(name)] = value(i)

    return change


TABLES: dict[str, tuple[Change | None, dict[str, str], str]] = {
    "a missing column": (
        None,
        {"attributes": '["sexx"]'},
        r"generator.attributes: .*people.csv: no column 'sexx'; allowed: .*; did you mean sex\?",
    ),
    "an empty attribute": (column("sex", lambda i: ""), {}, "sex: is empty in every row"),
    "an attribute that differs in every row": (
        column("sex", lambda i: f"x{i}"),
        {},
        r"sex: has a different value in every row, so it is no attribute of subgroups; give an interval",
    ),
    "a value that does not occur": (
        None,
        {"subgroups": '{ small = { values = ["femal"] }, large = { values = ["male"] } }'},
        r"generator.subgroups.small.values: .*: sex: no value 'femal'; allowed: .*; did you mean female\?",
    ),
    "subgroups that overlap": (
        None,
        {"subgroups": '{ small = { values = ["female"] }, large = { values = [["male", "female"]] } }'},
        r"generator.subgroups: .*people.csv:2: sex: belongs to small and to large; subgroups must not overlap",
    ),
    "one class": (column("sick", lambda i: "no"), {}, "sick: is negative in every row; both classes are needed"),
    "one class in a subgroup": (
        column("sick", lambda i: "yes" if i % 4 < 2 and i // 4 % 2 else "no"),
        {},
        r"generator.subgroups.large: .*: subgroup large \(sex = male\) has no people with the disease",
    ),
    "labels that are none": (column("sick", lambda i: f"{i % 3}"), {}, r"target: .*csv:4: sick: '2' is no label"),
    "an unknown positive value": (None, {"positive": '["ja"]'}, r"generator.positive: .*sick: no value 'ja'; allowed"),
    "an identifier that is there twice": (
        None,
        {"identifier": '"person"'},
        r"generator.identifier: .*people.csv:3: person: is the same as in line 2 \(180 rows repeat one\)",
    ),
    "people on both sides of a split": (
        column("split", lambda i: SPLITS[i % 3]),
        {},
        r"split: 180 people are on both sides of a split, such as the one of lines \d+ and \d+ \(person\)",
    ),
    "a value of the split that is no part": (
        column("split", lambda i: "trian" if i == 4 else SPLITS[i // 2 % 3]),
        {},
        r"generator.split: .*people.csv:6: split: 'trian' is in none of generator.parts; .*did you mean train\?",
    ),
    "values for too few attributes": (
        None,
        {"attributes": '["sex", "age"]'},
        "generator.subgroups.small.values: states values of 1",
    ),
    "nothing to look at": (None, {"file": ""}, "there is nothing to look at"),
    "no table": (None, {"table": '"/nowhere/people.csv"'}, "generator.table: /nowhere/people.csv: No such file"),
    "no folder": (None, {"images": '"/nowhere/pictures"'}, "images: /nowhere/pictures: No such file"),
    "an empty split": (
        column("split", lambda i: ""),
        {},
        "generator.split: .*people.csv: split: is empty in every row",
    ),
    "percentages that do not sum to 100": (
        None,
        {"split": "", "percentages": "[50, 20, 20]"},
        "percentages must sum to 100; these sum to 90",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables(case: str, folder: Path, tmp_path: Path) -> None:
    change, keys, expected = TABLES[case]
    cells = rows()
    if change:
        change(cells)
    found = problem(made(tmp_path, cells), folder, **keys)
    assert re.search(expected, found) and "generator.digest" not in found, found


def test_the_table_itself_is_fine(folder: Path, tmp_path: Path) -> None:
    study = load(made(tmp_path, rows()), digits_folder=folder)
    assert study.generator.available.sum(axis=(1, 2)).tolist() == [120, 60, 60], "images, people and people"
    assert study.generator.rows == 360 and not study.generator.left_out
    by_age = '{ small = { values = ["[-inf, 200)"] }, large = { values = ["[200, inf)"] } }'
    study = load(made(tmp_path, rows()), digits_folder=folder, attributes='["age"]', subgroups=by_age)
    assert study.generator.available.sum(axis=(0, 2)).tolist() == [120, 120]


def test_rows_without_a_value_are_left_out_and_counted(folder: Path, tmp_path: Path) -> None:
    cells = rows()
    cells[0][3], cells[1][1], cells[2][5] = "", "other", ""
    left_out = load(made(tmp_path, cells), digits_folder=folder).generator.left_out
    assert left_out == {"no class of sick": 1, "in no subgroup": 1, "no value of split": 1}


def test_pictures_that_cannot_be_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside.png"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(outside)
    inside = tmp_path / "inside"
    inside.mkdir()
    cells = rows()
    cells[1][0], cells[2][0], cells[3][0] = "../outside.png", "link.png", "gone.tif"
    os.symlink(outside, inside / "link.png")
    found = [
        "people.csv:3: name: '../outside.png': leads out of the folder",
        "people.csv:4: name: 'link.png': leads out of the folder",
        "people.csv:5: name: 'gone.tif': there is no such file",
    ]
    texts = problems_of(made(inside, cells), folder)
    assert len(texts) == 3 and all(text.startswith("generator.file: ") for text in texts)
    assert all(line in text for line, text in zip(found, texts, strict=True)), texts
    cells = rows()
    made(inside, cells)
    whole = (inside / "006.png").read_bytes()
    (inside / "005.png").write_bytes(whole[: len(whole) // 2])
    (inside / "006.png").write_text("no picture")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 500)
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(inside / "007.png")
    first, second, third = problems_of(inside, folder)
    assert "people.csv:7: name: " in first and "005.png: " in first
    assert "006.png: is no picture in a format that Pillow reads" in second
    assert "007.png: has 30 x 30 pixels; at most 500 are read" in third


def test_pillow_warns_of_nothing_and_reads_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(pictures.Unreadable, match="pixels"):
        pictures.picture(tmp_path / "a.png", 8, 1, "crop")


def bomb(path: Path, claim: tuple[int, ...], content: bytes) -> None:
    """An .npz whose array says that it has a shape."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": claim})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", head.getvalue() + content)


@pytest.mark.parametrize(
    ("claim", "content", "expected"),
    [
        ((10**9, 8, 8), b"\0" * 64, "images.npy says that it is 1000000000 x 8 x 8 uint8, and has"),
        ((4, 8, 8), b"\0" * 9_000, "images.npy says that it is 4 x 8 x 8 uint8, and has"),
    ],
)
def test_arrays_that_are_not_what_they_say(
    folder: Path, tmp_path: Path, claim: tuple[int, ...], content: bytes, expected: str
) -> None:
    bomb(tmp_path / "bomb.npz", claim, content)
    text = problem(made(tmp_path, rows()), folder, file="", images=f'"{tmp_path}/bomb.npz"')
    assert expected in text, text


@pytest.mark.parametrize(
    ("compression", "limit", "expected"),
    [
        (zipfile.ZIP_LZMA, arrays.MAX_BYTES, r"images.npy: 4,000,128 bytes out of \d+ \(a zip bomb\?\)"),
        (zipfile.ZIP_DEFLATED, 3_999_999, "images: has 4,000,000 bytes; at most 3,999,999 are read"),
    ],
)
def test_compressed_bombs_are_not_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: int, limit: int, expected: str
) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros((1_000, 4_000), np.uint8))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", compression) as archive:
        archive.writestr("images.npy", content.getvalue())
    monkeypatch.setattr(arrays, "MAX_BYTES", limit)
    with pytest.raises(InputError, match=expected):
        arrays.ArrayFile(tmp_path / "bomb.npz")


def test_arrays_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    made(tmp_path, rows())

    def text(**named: Any) -> str:
        np.savez(tmp_path / "a.npz", **named)
        return problem(tmp_path, folder, file="", images=f'"{tmp_path}/a.npz"')

    ones = np.ones((360, 9, 9), np.uint8)
    assert "holds Python objects, which are not read" in text(images=np.array([{}], dtype=object))
    assert "images has 359 rows, and" in text(images=ones[:359])
    assert "Name it after a colon, as in a.npz:NAME; possible: one, two" in text(one=ones, two=ones)
    assert "values of floats have to be from 0 to 1; these are 3 to 3" in text(images=3.0 * ones)
    assert "images have 1 or 3 channels, last" in text(images=np.ones((360, 3, 9, 9), np.uint8))
    assert "which array has the images" in text(flat=np.ones((360, 9)))


def test_embeddings_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    cells = rows()
    made(tmp_path, cells)
    names, vectors = np.array([line[0] for line in cells]), np.ones((360, 3))
    keys = {"file": "", "identifier": '"name"', "embeddings": f'"{tmp_path}/e.npz"'}

    def text(**named: Any) -> str:
        np.savez(tmp_path / "e.npz", **named)
        return problem(tmp_path, folder, **keys)

    assert "people.csv:2: name: has no embedding in" in text(name=names[1:], vectors=vectors[1:])
    repeated = text(name=np.array(["a", "a", *names[2:]]), vectors=vectors)
    assert repeated.startswith("generator.embeddings: ") and "e.npz: row 2: name: is the same as in row 1" in repeated
    seventh = np.arange(360)[:, None] == 7
    assert "e.npz: vectors: row 8, column 1: is empty" in text(name=names, vectors=np.where(seventh, np.nan, vectors))
    large = text(name=names, vectors=np.where(seventh, 1e39, vectors))
    assert "e.npz: vectors: row 8, column 1: is 1e+39; has to be a finite number of at most 3.4e+38" in large
    assert "no array name or ids or id with the identifiers (generator.identifier)" in text(vectors=vectors)
    assert "e.npz: name: has the shape 359, and there are 360 rows" in text(name=names[1:], vectors=vectors)
    assert "e.npz: name: has the shape 360, and there are 4 rows" in text(name=names, vectors=vectors[:4])
    assert "e.npz: vectors: is empty (0 x 3)" in text(name=names[:0], vectors=vectors[:0])
    assert "not 2; name it after a colon, as in e.npz:NAME" in text(name=names, one=vectors, two=vectors)
    text_of = tmp_path / "e.csv"
    text_of.write_text("name,a,b\n" + "".join(f"{name},1,{i}\n" for i, name in enumerate(names)))
    study = load(
        tmp_path,
        "encoder=embeddings",
        "pretraining.objective=scratch",
        digits_folder=folder,
        **keys | {"embeddings": f'"{text_of}"'},
    )
    assert study.generator.spec["features"].shape == (2,)


@pytest.mark.parametrize(
    ("key", "size", "expected"),
    [
        ("pretraining.cohort", 5_000, r"pretraining.cohort: needs 5,000 images and the table has enough for (\d+)"),
        ("evaluation.calibration", 400, r"evaluation.calibration: needs 400 people and the table has enough for (\d+)"),
        ("evaluation.test", 500, r"evaluation.test: needs 500 people of every subgroup, .* has enough for (\d+)"),
        ("evaluation.selection", 900, r"evaluation.selection: needs 900 people and the table has enough for (\d+)"),
        ("finetuning.protocol.draws", 40, r"finetuning.labels: needs 26 people to train on in each of 40 draws"),
    ],
)
def test_too_few_people_are_refused_with_the_largest_size(folder: Path, key: str, size: int, expected: str) -> None:
    file = digits.study(folder)
    with pytest.raises(InputError) as error:
        load_study(file, set=[f"{key}={size}"])
    assert len(error.value.problems) == 1
    match = re.search(expected, error.value.problems[0])
    assert match and "; the table is" in error.value.problems[0], error.value.problems
    if match.groups():
        possible = int(match[1].replace(",", ""))
        assert not any(f"{key}:" in problem for problem in problems(file, f"{key}={possible}"))
        assert any(f"{key}:" in problem for problem in problems(file, f"{key}={possible + 1}"))


def problems(file: Path, assignment: str) -> list[str]:
    """What is wrong with a study; nothing if it is valid."""
    try:
        load_study(file, set=[assignment])
    except InputError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("evaluation.pretext=64", "evaluation.pretext: needs held-out subjects"),
        ("pretraining.shifts={small={acquisition=0.3}}", "changes images, and those of people of a table stay"),
        ("evaluation.shifts={small={marker_healthy=0.3}}", "allowed: prevalence, missed, false_alarm"),
        ("generator.difficulty=symmetric", "generator.difficulty"),
        ("generator.shared=1", "generator.shared: cannot be set"),
        ("pretraining.objective={kind='next_scan'}", "images has none"),
    ],
)
def test_what_only_a_simulation_can_answer_is_refused(folder: Path, assignment: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        load_study(digits.study(folder), set=[assignment])
    load_study(digits.study(folder), set=["pretraining.shifts={small={prevalence=0.3}}", "pretraining.cohort=300"])


def test_a_table_is_no_source_of_another_study(folder: Path) -> None:
    table = f'kind="images", table="{folder}/digits.npz", images="{folder}/digits.npz:images", target="odd"'
    people = f'{{ {table}, attributes=["range"], size=8, channels=1, subgroups={{ small={{}}, large={{}} }} }}'
    source = f'{{ kind="generator", generator={people}, shares={{ small=0.5, large=0.5 }} }}'
    with pytest.raises(InputError, match=r"source\.generator: is a table of people, which only the study's own"):
        load_study(digits.study(folder), set=[f"pretraining.source={source}"])


def test_names_with_a_suffix_uncertain_labels_and_people_in_paths(folder: Path, tmp_path: Path) -> None:
    """The layout of CheXpert: whose film it is stands in its path, and -1 is an uncertain finding."""
    cells = rows()
    for i, line in enumerate(cells):
        line[0] = f"patient{i // 2:05}_view{i % 2}"
        line[3] = "-1.0" if i < 4 else "1.0" if line[3] == "yes" else "0.0"
        Image.fromarray(np.full((9, 9), i % 256, np.uint8)).save(tmp_path / f"{line[0]}.jpg")
    keys = {"target": '"sick"', "positive": '["1.0"]', "negative": '["0.0"]', "suffix": '".jpg"', "split": ""}
    keys |= {"person": '"name"', "person_pattern": '"patient[0-9]+"', "percentages": "[35, 20, 45]"}
    generator = load(made(tmp_path, cells), digits_folder=folder, **keys).generator
    assert generator.left_out == {"no class of sick": 4}
    people = datasets.of(generator.digest).people
    assert (people.part[0::2] == people.part[1::2]).all() and len(set(people.part.tolist())) == 3
    found = problem(tmp_path, folder, **keys | {"person_pattern": '"patien[0-9]+"'})
    assert found.startswith("generator.person_pattern: ")
    assert "people.csv:2: name: nothing matches 'patien[0-9]+'" in found


def test_a_study_of_a_simulation_works_on_a_table(tmp_path: Path) -> None:
    """With its subgroups named as in the study file, and enough people."""
    n = 100_000
    i = np.arange(n)
    np.savez(
        tmp_path / "skin.npz",
        images=np.zeros((n, 16, 16), np.uint8),
        tone=np.where(i % 2, "I", "VI"),
        malignant=i // 2 % 2,
        split=np.array(SPLITS)[np.minimum(i // (n * 9 // 20), 2)],
    )
    generator = (
        f'generator={{ kind = "images", table = "{tmp_path}/skin.npz", images = "{tmp_path}/skin.npz", '
        'target = "malignant", attributes = ["tone"], split = "split", size = 16, channels = 1, '
        'subgroups = { light = { values = ["I"] }, dark = { values = ["VI"] } } }'
    )
    for name in ("skin_tone", "mitigation"):
        study = load_study(ROOT / "studies" / f"{name}.toml", set=[generator])
        assert study.generator.kind == "images" and study.subgroups == ("light", "dark")
