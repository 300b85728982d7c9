"""Tables as people have them are read as what they say, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.tables import delimited
from biasprop.tables.join import joined
from biasprop.tables.labels import CONVENTIONS, binary_labels
from biasprop.tables.read import Table, read_table
from biasprop.tables.source import open_table


def read(folder: Path, content: str | bytes, name: str = "t.csv", **kinds) -> Table:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_table(file, kinds) as source:
        return read_table(Path(name), source, list(kinds.items()))


def numbers(folder: Path, *cells: str) -> list[float]:
    table = read(folder, "id;p\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells)), p="number")
    return table.columns["p", "number"].data.tolist()


@pytest.mark.parametrize("separator", delimited.SEPARATORS)
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n", "sep={}\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_marks_and_line_ends(separator, start, end, tmp_path) -> None:
    lines = [" p ", "sex", "note"], ["0.25", "F", '"a\n""b"""'], ["1e-3", "M", separator.join('""')], ["", " F ", "x"]
    lines[2][2] = f'"{separator}"'
    content = start.format(separator) + end.join(separator.join(line) for line in lines) + end + end
    table = read(tmp_path, content, p="number", sex="category", note="category")
    np.testing.assert_array_equal(table.columns["p", "number"].data, [0.25, 1e-3, np.nan])
    assert table.columns["sex", "category"].data.tolist() == [0, 1, 0]
    assert table.columns["note", "category"].parser.values == ['a\n"b"', separator, "x"] or separator == "\t"
    before = start.count("\n")
    assert table.places.tolist() == [before + 3, before + 4, before + 5], "a record ends on its last line"


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("0,5", "1", ",25", "-1,5e-1"), (0.5, 1.0, 0.25, -0.15)),
        (("50%", "7.5 %", "NA"), (0.5, 0.075, np.nan)),
        (("12,5 %", "100 %"), (0.125, 1.0)),
        (("1", "nan", "N/A", " null ", "<NA>", "2."), (1.0, np.nan, np.nan, np.nan, np.nan, 2.0)),
        (("0,125", "0,250"), (0.125, 0.25)),
    ],
)
def test_numbers(cells, values, tmp_path) -> None:
    np.testing.assert_allclose(numbers(tmp_path, *cells), values)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (("0.5", "0,5"), "t.csv:3: p: has a decimal comma, but t.csv:2: p has a decimal point"),
        (("50%", "0.5"), "t.csv:3: p: has no percent sign, but t.csv:2: p has a percent sign"),
        (("1,234", "12,345"), "t.csv:2: p: the comma may mean decimals or thousands"),
        (("1.234,5",), "t.csv:2: p: '1.234,5' is not a finite number"),
        (("1", "1_000"), "t.csv:3: p: '1_000' is not a finite number"),
        (("1", "", "x" * 99), "t.csv:4: p: 'xxx"),
        (("\x1b[2J",), r"t.csv:2: p: '\x1b[2J' is not"),
    ],
)
def test_numbers_that_are_refused(cells, says, tmp_path) -> None:
    with pytest.raises(InputError) as error:
        numbers(tmp_path, *cells)
    assert str(error.value).startswith(says) and "\x1b" not in str(error.value)


def test_cells_of_later_chunks_have_their_lines(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(delimited, "CHUNK", 3)
    table = read(tmp_path, "p,c\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(8)), p="number", c="category")
    assert table.columns["p", "number"].data.tolist() == list(range(8)) and table.places.tolist() == list(range(2, 10))
    with pytest.raises(InputError, match=r"t.csv:9: p: 'x' is not"):
        read(tmp_path, "p,c\n" + "1,a\n" * 7 + "x,a\n", p="number")
    with pytest.raises(InputError, match=r"t.csv:9: p: has a decimal comma, but t.csv:4: p has a decimal point"):
        read(tmp_path, "p;c\n" + "1;a\n1;a\n1.5;a\n" + "1;a\n" * 4 + "2,5;a\n", p="number")


@pytest.mark.parametrize("pair", CONVENTIONS)
def test_labels_of_every_convention(pair, tmp_path) -> None:
    cells = [pair[1].upper(), pair[0].title(), "", pair[0], f" {pair[1]} "]
    table = read(tmp_path, "y,c\n" + "".join(f"{cell},\n" for cell in cells), y="category")
    labels, note = binary_labels(table, "y")
    assert labels.tolist() == [0, 1, -1, 1, 0]
    assert ("with disease" in note) == (pair != ("1", "0"))


def test_labels_by_their_positive_value_and_labels_that_are_refused(tmp_path) -> None:
    table = read(tmp_path, "y,c\nmelanoma,\nnevus,\nkeratosis,\n", y="category")
    labels, note = binary_labels(table, "y", "melanoma")
    assert labels.tolist() == [1, 0, 0] and note == "y: melanoma = with disease; nevus, keratosis = without"
    with pytest.raises(InputError, match=r"no value 'melanom' \(--positive\); .* did you mean melanoma"):
        binary_labels(table, "y", "melanom")
    with pytest.raises(InputError, match=r"t.csv:2: y: 'melanoma' is no label; allowed: 1/0, yes/no"):
        binary_labels(table, "y")
    with pytest.raises(InputError, match=r"t.csv:4: y: '-1' is no label; allowed: 1/0 as in the other rows"):
        binary_labels(read(tmp_path, "y,c\n1.0,\n0,\n-1,\n", y="category"), "y")


def test_joins(tmp_path) -> None:
    first = read(tmp_path, "id,p\na,1\nb,2\nd,3\n", id="key")
    second = read(tmp_path, "id,y\nc,0\nb,0\na,1\n", "u.csv", id="key")
    assert joined(first, second, "id").rows.tolist() == [2, 1, -1] and joined(first, second, "id").unused == 1
    twice = read(tmp_path, "id,p\na,1\nb,2\na,3\nb,4\n", id="key")
    with pytest.raises(InputError, match=r"t.csv:4: id: is the same as in line 2 \(2 rows repeat one\)"):
        joined(twice, second, "id")
    assert joined(twice, second, "id", many=True).rows.tolist() == [2, 1, 2, 1]
    with pytest.raises(InputError, match=r"t.csv:4: id: is the same as in line 2"):
        joined(first, twice, "id", many=True)
    with pytest.raises(InputError, match=r"no value of this column is in u.csv"):
        joined(read(tmp_path, "id,p\nx,1\n", id="key"), second, "id")


def test_files_that_cannot_be_read(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for name, says in (("nowhere.csv", "No such file"), ("folder", "directory")):
        with pytest.raises(InputError, match=rf"^{name}: .*{says}"), open_table(Path(name)):
            pass


def test_parquet_gives_what_csv_gives(tmp_path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    columns = {
        "p": arrow.array([0.1, None, 1 / 3], arrow.float64()),
        "y": arrow.array([True, False, None]),
        "sex": arrow.array(["F", None, "M"]).dictionary_encode(),
        "n": arrow.array([1, 2, 3], arrow.int16()),
        "boxes": arrow.array([[1], [2], [3]]),
    }
    write_table(arrow.table(columns), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    table = read(tmp_path, content, "t.parquet", p="number", y="category", sex="category", n="key")
    np.testing.assert_array_equal(table.columns["p", "number"].data, [0.1, np.nan, 1 / 3])
    assert binary_labels(table, "y")[0].tolist() == [1, 0, -1]
    assert table.columns["sex", "category"].data.tolist() == [0, -1, 1]
    assert table.at(2, "p") == "t.parquet: row 3: p"
    with pytest.raises(InputError, match=r"t.parquet: boxes: list"):
        read(tmp_path, content, "t.parquet", boxes="number")
    for broken in (content[:-20], content[: len(content) // 2], b"PAR1" + b"x" * 40 + b"PAR1", b"PAR1"):
        with pytest.raises(InputError, match=r"t.parquet: (is no whole parquet file|row)"):
            read(tmp_path, broken, "t.parquet", p="number")
