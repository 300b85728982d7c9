"""Features are found by order or by identifier, and files that cannot be used are refused with the place."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biasprop.audit.columns import read_labelled_rows
from biasprop.card.arguments import arguments, problems
from biasprop.card.embeddings import read_embeddings
from biasprop.component import InputError

N = 30
COLUMNS = ["--label", "y", "--by", "sex"]


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    found = pd.DataFrame(
        {"id": [f"i{i}" for i in range(N)], "y": np.arange(N) % 2, "sex": random.choice(["F", "M"], N)}
    )
    found.to_csv("t.csv", index=False)
    return found


def features() -> np.ndarray:
    return np.arange(2.0 * N).reshape(N, 2).astype("f4")


def read(file: str, *words: str) -> np.ndarray:
    options = arguments().parse_args(["t.csv", *COLUMNS, "--embeddings", file, *words])
    assert problems(options) == []
    return read_embeddings(options.embeddings, read_labelled_rows(options), options.on, many=False)


def as_csv(x: np.ndarray, ids: list[str] | None = None) -> None:
    found = pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])])
    (found if ids is None else found.assign(id=ids)).to_csv("e.csv", index=False)


def test_rows_are_in_order_or_found_by_identifier() -> None:
    x, ids = features(), [f"i{i}" for i in range(N)]
    back = ids[::-1][:-1]  # without the first row of the table
    np.save("e.npy", x)
    np.savez_compressed("e.npz", features=x)
    as_csv(x)
    for file in ("e.npy", "e.npz", "e.csv"):
        np.testing.assert_array_equal(read(file), x)
        np.testing.assert_array_equal(read(file, "--split", "sex=F"), x[pd.read_csv("t.csv").sex == "F"])
    as_csv(x[::-1][:-1], back)
    np.savez("e.npz", x=x[::-1][:-1], ids=np.array(back))
    np.savez("b.npz", x=x[::-1][:-1], id=np.array(back, dtype="S4"))
    for file in ("e.csv", "e.npz", "b.npz"):
        found = read(file, "--on", "id")
        assert np.isnan(found[0]).all()
        np.testing.assert_array_equal(found[1:], x[1:])


def refused(file: str, *words: str) -> str:
    with pytest.raises(InputError) as error:
        read(file, *words)
    return str(error.value)


def test_wrong_lengths_identifiers_and_values_are_named() -> None:
    x, ids = features(), [f"i{i}" for i in range(N)]
    np.save("e.npy", x[1:])
    assert "e.npy: has 29 rows, and t.csv has 30" in refused("e.npy")
    np.savez("e.npz", x=x)
    assert "e.npz: no array id or ids with the identifiers (--on)" in refused("e.npz", "--on", "id")
    np.savez("e.npz", x=x, ids=np.array(ids[1:]))
    assert "e.npz: ids: has the shape 29, and there are 30 rows" in refused("e.npz", "--on", "id")
    np.savez("e.npz", x=x, ids=np.array(["i0", *ids[:-1]]))
    assert "e.npz: row 2: id: is the same as in row 1" in refused("e.npz", "--on", "id")
    np.savez("e.npz", x=x, ids=np.array([f"j{i}" for i in range(N)]))
    assert "t.csv:2: id: no value of this column is in e.npz" in refused("e.npz", "--on", "id")
    as_csv(x, ["i0", *ids[:-1]])
    assert "e.csv:3: id: is the same as in line 2" in refused("e.csv", "--on", "id")
    x[4, 1] = np.nan
    np.save("e.npy", x)
    assert "e.npy: array: row 5, column 2: is empty" in refused("e.npy")
    as_csv(x)
    assert "e.csv:6: f1: is empty" in refused("e.csv")
    x[4, 1] = np.inf
    np.save("e.npy", x)
    assert "row 5, column 2: is inf; has to be a finite number" in refused("e.npy")
    large = features().astype(float)
    large[4, 1] = 1e39
    np.save("e.npy", large)
    assert "row 5, column 2: is 1e+39; has to be a finite number of at most 3.4e+38" in refused("e.npy")
    as_csv(large)
    assert "e.csv:6: f1: is 1e+39; has to be a finite number of at most 3.4e+38" in refused("e.csv")
    np.save("e.npy", np.ones((N, 3)))
    assert "all 30 rows have the same features" in refused("e.npy")
    pd.DataFrame({"f": ["a"] * N}).to_csv("e.csv", index=False)
    assert "e.csv:2: f: " in refused("e.csv")


def test_what_32_bits_cannot_hold_is_refused_without_a_warning() -> None:
    x = features().astype("f8")
    x[4, 1] = 1e300
    np.save("e.npy", x)
    as_csv(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "e.npy: array: row 5, column 2: is 1e+300; has to be a finite number" in refused("e.npy")
        assert "e.csv:6: f1: is 1e+300; has to be a finite number" in refused("e.csv")


def test_files_that_are_no_arrays_of_numbers_are_refused_before_they_are_read() -> None:
    x = features()
    np.savez("e.npz", x=np.array([{"a": 1}] * N, dtype=object))
    assert "e.npz: x: holds Python objects, which are not read" in refused("e.npz")
    np.save("e.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    assert "e.npy: array: holds Python objects" in refused("e.npy")
    np.savez("e.npz", x=x, z=x)
    several = (
        "one two-dimensional array of numbers, not 2; name it after a colon, as in e.npz:NAME (has: x 30 x 2 float32"
    )
    assert several in refused("e.npz")
    np.testing.assert_array_equal(read("e.npz:z"), x)
    assert "no two-dimensional array of numbers 'y'; allowed: x, z" in refused("e.npz:y")
    np.savez("e.npz", x=x.astype(str))
    assert "one two-dimensional array of numbers, not 0" in refused("e.npz")
    np.savez("e.npz", x=x[:0])
    assert "e.npz: x: is empty (0 x 2)" in refused("e.npz")
    np.savez("e.npz", x=x)
    content = Path("e.npz").read_bytes()
    Path("e.npz").write_bytes(content[: len(content) // 2])
    assert "e.npz: cannot be read as arrays" in refused("e.npz")
    Path("e.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff")
    assert "e.npy: cannot be read as arrays" in refused("e.npy")
    assert "none.npz: No such file" in refused("none.npz")


def member(shape: tuple[int, ...], content: bytes) -> bytes:
    """An array that says that it has a shape, followed by some bytes."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return head.getvalue() + content


def test_bombs_are_refused_by_their_sizes() -> None:
    with zipfile.ZipFile("e.npz", "w") as archive:
        archive.writestr("x.npy", member((10**6, 10**6), b"\0" * 100))
    assert "x.npy says that it is 1000000 x 1000000 float32, and has" in refused("e.npz")
    with zipfile.ZipFile("e.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", member((2_500_000, 1), b"\0" * 10_000_000))
    assert "(ValueError: x.npy: 10,000,128 bytes out of 1" in refused("e.npz")
    with zipfile.ZipFile("e.npz", "w") as archive:
        archive.writestr("../x.txt", json.dumps({}))
    assert "../x.txt: is no array" in refused("e.npz")
    Path("e.npy").write_bytes(member((10**6, 10**6), b"\0" * 100))
    assert "e.npy: cannot be read as arrays (ValueError: array says that it is 1000000 x" in refused("e.npy")


def test_only_rows_that_are_used_have_to_be_finite() -> None:
    x, sex = features(), pd.read_csv("t.csv").sex
    x[np.flatnonzero(sex == "M")] = np.nan
    np.save("e.npy", x)
    np.testing.assert_array_equal(read("e.npy", "--split", "sex=F"), x[sex == "F"])
    count = (sex == "M").sum() - 1
    assert f"is empty ({count} more rows have such values)" in refused("e.npy")


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """The content with a few bytes changed, lost or inserted."""
    found = bytearray(content)
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(8, len(found)))
        what = random.integers(3)
        if what == 0:
            found[at] = random.integers(256)
        elif what == 1:
            del found[at : at + int(random.integers(1, 20))]
        else:
            found[at:at] = random.bytes(int(random.integers(1, 9)))
    return bytes(found)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_damaged_files_are_read_or_refused(ending: str) -> None:
    random = np.random.default_rng(4)
    np.save("good.npy", features())
    np.savez_compressed("good.npz", x=features(), ids=np.array([f"i{i}" for i in range(N)]))
    content = Path(f"good.{ending}").read_bytes()
    on = ("--on", "id") if ending == "npz" else ()
    refusals = 0
    for _ in range(150):
        Path(f"e.{ending}").write_bytes(damaged(content, random))
        try:
            assert len(read(f"e.{ending}", *on)) == N
        except InputError as error:
            assert f"e.{ending}" in str(error)
            refusals += 1
    assert refusals > 50
