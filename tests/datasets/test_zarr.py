"""Arrays of zarr are read or refused as those of NumPy are, whatever the folder holds."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from biasprop.component import InputError
from biasprop.datasets import arrays, pixels
from biasprop.datasets.arrays import ArrayFile, Columns


def group(file: Path, **named: Any) -> Path:
    """A group with these arrays, in chunks of ten rows."""
    made = zarr.create_group(file)
    for name, values in named.items():
        made.create_array(name, data=values, chunks=(10, *values.shape[1:]))
    return file


def changed(file: Path, **metadata: Any) -> None:
    """Change the metadata of an array or group."""
    found = json.loads((file / "zarr.json").read_text())
    (file / "zarr.json").write_text(json.dumps(found | metadata))


NUMBERS = np.random.default_rng(1).integers(0, 256, (20, 4, 4)).astype(np.uint8)


def test_text_of_any_length_is_a_column(tmp_path: Path) -> None:
    values = np.array(["a", "größer"] * 10, np.dtypes.StringDType())
    columns = Columns(ArrayFile(group(tmp_path / "a.zarr", name=values, n=np.arange(20))))
    assert columns.names == ["name", "n"] or columns.names == ["n", "name"]
    ((_, cells),) = columns.chunks(["name", "n"])
    assert list(cells["name"]) == values.tolist() and cells["n"][3] == "3"


def test_what_zarr_warns_of_is_no_matter_of_the_user(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = group(tmp_path / "a.zarr", images=NUMBERS, names=np.array(["a", "b"]))
    (file / "notes.txt").write_text("x")
    (file / "folder").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ArrayFile(file)
        assert set(found.shapes) == {"images", "names"} and (found.read("images") == NUMBERS).all()


METADATA: dict[str, tuple[str, str]] = {
    "a list": ("[]", "cannot be read as arrays"),
    "no JSON": ("{", "cannot be read as arrays"),
    "nested too deeply": ("[" * 100_000, "cannot be read as arrays .RecursionError"),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_of_another_kind(tmp_path: Path, case: str) -> None:
    file = group(tmp_path / "a.zarr", images=NUMBERS)
    (file / "zarr.json").write_text(METADATA[case][0])
    with pytest.raises(InputError, match=f"a.zarr: {METADATA[case][1]}"):
        ArrayFile(file)


def test_an_array_is_not_larger_than_what_is_stored_can_be(tmp_path: Path) -> None:
    file = group(tmp_path / "a.zarr", images=NUMBERS)
    changed(file / "images", shape=[20, 4_000, 4_000])
    with pytest.raises(InputError, match=r"images: is 320,000,000 bytes out of [\d,]+ that are stored \(a bomb, or"):
        ArrayFile(file)
    changed(file / "images", shape=[20, 4, 4])
    grid = {"name": "regular", "configuration": {"chunk_shape": [10**12, 4, 4]}}
    changed(file / "images", chunk_grid=grid)
    with pytest.raises(InputError, match="images: has chunks of 16,000,000,000,000 bytes out of"):
        ArrayFile(file)


@pytest.mark.parametrize(
    "values",
    [
        np.repeat([0, 1], 100_000),
        np.ones(200_000),
        np.zeros(1_000_000, bool),
        np.zeros((100, 64, 64), np.uint8),
        np.array(["academic"] * 50_000, np.dtypes.StringDType()),
    ],
    ids=["sorted", "ones", "false", "blank", "one text"],
)
def test_an_array_of_which_little_is_stored_is_read(tmp_path: Path, values: np.ndarray) -> None:
    zarr.create_group(tmp_path / "a.zarr").create_array("values", data=values)
    assert (ArrayFile(tmp_path / "a.zarr").read("values") == values).all()


def test_a_frame_that_says_that_it_is_huge(tmp_path: Path) -> None:
    file = group(tmp_path / "a.zarr", images=NUMBERS)
    claim = b"\x28\xb5\x2f\xfd\xe0" + (2**46).to_bytes(8, "little") + b"\1\0\0"
    (file / "images" / "c" / "1" / "0" / "0").write_bytes(claim)
    with pytest.raises(InputError, match="images: cannot be read as arrays"):
        ArrayFile(file).read("images")


def test_no_code_is_run(tmp_path: Path) -> None:
    """Also with a numcodecs that decodes pickle, as some versions do."""
    file = tmp_path / "a.zarr"
    zarr.create_array(file, shape=(4, 2), dtype="u1", zarr_format=2)
    found = json.loads((file / ".zarray").read_text())
    filters = [{"id": "vlen-utf8"}, {"id": "pickle"}]
    found |= {"dtype": "|O", "filters": filters, "compressor": None, "fill_value": ""}
    (file / ".zarray").write_text(json.dumps(found))
    with pytest.raises(InputError, match="array: is stored as Python objects, which are not read"):
        ArrayFile(file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    file = group(tmp_path / "a.zarr", images=NUMBERS)
    chunk = file / "images" / "c" / "1" / "0" / "0"
    chunk.unlink()
    os.mkfifo(chunk)
    for read in (ArrayFile, pixels._contents):
        with pytest.raises(InputError, match=f"{chunk}: is no file"):
            read(file)


def test_files_behind_links_are_part_of_a_folder(tmp_path: Path) -> None:
    file = group(tmp_path / "a.zarr", images=NUMBERS)
    (file / "images").rename(tmp_path / "elsewhere")
    (file / "images").symlink_to(tmp_path / "elsewhere")
    (file / "again").symlink_to(".")
    assert (ArrayFile(file).read("images") == NUMBERS).all()
    assert len(arrays.files_of(file)) == len({os.path.realpath(one) for one in arrays.files_of(file)}) == 4
    before = pixels._contents(file)
    (tmp_path / "elsewhere" / "c" / "0" / "0" / "0").write_bytes(b"x")
    assert pixels._contents(file) != before, "or an array would be taken from the cache though it has changed"
