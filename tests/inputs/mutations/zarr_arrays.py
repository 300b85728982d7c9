"""Of zarr: groups of arrays in folders."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.inputs.mutations.arrays import Arrays
from tests.inputs.mutations.changed import SECRET, Random

CHUNKS = 5
"""Of an array, along its first axis."""


def write(file: Path, arrays: Arrays, **options: Any) -> None:
    """Write arrays as a group; nothing may be there."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types of text that zarr's third version does not specify
        group = zarr.create_group(file, **options)
        for name, values in arrays.named.items():
            chunks = tuple(max(side, 1) for side in (-(-len(values) // CHUNKS), *values.shape[1:]))
            group.create_array(name, data=np.ascontiguousarray(values), chunks=chunks)


Mutation = Callable[[Path, Arrays, Random], Any]


def _replaced(**options: Any) -> Mutation:
    """The same arrays, written in another way."""

    def mutate(file: Path, arrays: Arrays, random: Random) -> None:
        shutil.rmtree(file)
        write(file, arrays, **options)

    return mutate


def _metadata(change: Callable[[dict[str, Any]], Any], of_group: bool = False) -> Mutation:
    """Metadata of the main array, or of the group."""

    def mutate(file: Path, arrays: Arrays, random: Random) -> None:
        path = (file if of_group else file / arrays.main) / "zarr.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))

    return mutate


def _is(group: bool = False, **values: Any) -> Mutation:
    return _metadata(lambda found: found.update(values), group)


def _first_is(side: int) -> Mutation:
    """Another number of rows, in chunks of which most are missing."""
    return _metadata(lambda found: found.update(shape=[side, *found["shape"][1:]]))


def _text(text: str, of_group: bool = False) -> Mutation:
    """Other metadata."""
    return lambda file, arrays, random: (
        (file if of_group else file / arrays.main).joinpath("zarr.json").write_text(text)
    )


def _chunks(rows: int) -> Mutation:
    """Another number of rows in a chunk."""

    def change(found: dict[str, Any]) -> None:
        found["chunk_grid"]["configuration"]["chunk_shape"][0] = rows

    return _metadata(change)


def _chunk(change: Callable[[Path, Random], Any]) -> Mutation:
    """A chunk of the main array."""

    def mutate(file: Path, arrays: Arrays, random: Random) -> None:
        found = sorted(path for path in (file / arrays.main / "c").rglob("*") if path.is_file())
        change(found[int(random.integers(len(found)))], random)

    return mutate


def _no_file(make: Callable[[Path], Any]) -> Mutation:
    return _chunk(lambda path, random: (path.unlink(), make(path)))


def _corrupt(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    content[: len(content) // 2] = random.bytes(len(content) // 2)
    path.write_bytes(content)


def _bomb(path: Path, random: Random) -> None:
    """A chunk that is large when it is decompressed."""
    from numcodecs import Zstd

    path.write_bytes(Zstd().encode(np.broadcast_to(np.uint8(0), 1 << 28).copy()))


def _claims(path: Path, random: Random) -> None:
    """A frame of zstandard that says that it has 2^46 bytes."""
    path.write_bytes(b"\x28\xb5\x2f\xfd\xe0" + (2**46).to_bytes(8, "little") + b"\1\0\0")


def _second_version(compressor: Any, filters: Any, **others: Any) -> Mutation:
    """An array of zarr's second version, with codecs that are named in its metadata."""

    def mutate(file: Path, arrays: Arrays, random: Random) -> None:
        _replaced(zarr_format=2)(file, arrays, random)
        path = file / arrays.main / ".zarray"
        found = json.loads(path.read_text())
        path.write_text(json.dumps(found | {"compressor": compressor, "filters": filters} | others))
        payload = b"\x80\x04\x8c\x02os\x8c\x06getpid\x93)R."  # of pickle: calls os.getpid
        for chunk in (file / arrays.main).glob("[0-9]*"):
            chunk.write_bytes(payload)

    return mutate


def _loop(file: Path, arrays: Arrays, random: Random) -> None:
    (file / "again").symlink_to(".")
    (file / "loop").symlink_to("loop")


def _outside(file: Path, arrays: Arrays, random: Random) -> None:
    """The array is a link to a folder beside the group."""
    moved = file / "moved"
    (file / arrays.main).rename(moved)
    (file / arrays.main).symlink_to(moved.name)


def _attributes(file: Path, arrays: Arrays, random: Random) -> None:
    for group in (True, False):
        _is(group, attributes={f"{SECRET}<script>": [SECRET, None, {"_ARRAY_DIMENSIONS": 3}]})(file, arrays, random)


def _without(*keys: str) -> Mutation:
    return _metadata(lambda found: [found.pop(key) for key in keys])


ZARRS: dict[str, tuple[Mutation, bool | None]] = {
    "the second version": (_replaced(zarr_format=2), False),
    "no metadata": (lambda file, arrays, random: (file / arrays.main / "zarr.json").unlink(), True),
    "no metadata of the group": (lambda file, arrays, random: (file / "zarr.json").unlink(), True),
    "metadata that are no JSON": (_text('{"zarr_format": 3,'), True),
    "metadata of the group that are no JSON": (_text("{", True), True),
    "metadata that are a list": (_text("[]"), True),
    "metadata of the group that are a list": (_text("[]", True), True),
    "metadata that are empty": (_text("{}"), True),
    "metadata nested too deeply": (_text("[" * 100_000), True),
    "metadata of the group nested too deeply": (_text('{"a":' * 100_000, True), True),
    "a group in place of the array": (_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}'), True),
    "another kind of node": (_is(node_type="<script>"), True),
    "another version": (_is(zarr_format=4), True),
    "an array in place of the group": (_is(True, node_type="array"), True),
    "hostile attributes": (_attributes, False),
    "attributes that are a list": (_is(attributes=[1]), None),
    "an unknown key": (_is(whatever=3), None),
    "consolidated metadata that are none": (_is(True, consolidated_metadata={"kind": "inline", "metadata": 3}), None),
    "a negative number of rows": (_first_is(-1), True),
    "no rows": (_first_is(0), True),
    "fewer rows": (_first_is(239), True),
    "more rows": (_first_is(241), True),
    "10^12 rows": (_first_is(10**12), True),
    "10^40 rows": (_first_is(10**40), True),
    "rows as text": (_metadata(lambda found: found.update(shape=["240", *found["shape"][1:]])), None),
    "half a row": (_metadata(lambda found: found.update(shape=[240.5, *found["shape"][1:]])), True),
    "a shape that is none": (_is(shape=3), True),
    "no shape": (_without("shape"), True),
    "large images in chunks that are missing": (_is(shape=[240, 4_000, 4_000, 3]), True),
    "chunks of 0 rows": (_chunks(0), True),
    "chunks of 10^12 rows": (_chunks(10**12), True),
    "chunks of 10 rows": (_chunks(10), True),
    "a chunk grid of another kind": (_is(chunk_grid={"name": "odd", "configuration": {}}), True),
    "no chunk grid": (_without("chunk_grid"), True),
    "another type": (_is(data_type="float64", fill_value=0), True),
    "an unknown type": (_is(data_type="float1"), True),
    "text": (_is(data_type="string", fill_value="", codecs=[{"name": "vlen-utf8"}]), True),
    "bytes": (_is(data_type="bytes", fill_value="", codecs=[{"name": "vlen-bytes"}]), True),
    "a fill value of another type": (_is(fill_value="text"), True),
    "an unknown codec": (_is(codecs=[{"name": "bytes"}, {"name": "<script>"}]), True),
    "no codec": (_is(codecs=[]), True),
    "codecs that are no list": (_is(codecs=3), True),
    "another codec": (_is(codecs=[{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}]), True),
    "code in a filter": (_second_version(None, [{"id": "pickle"}]), True),
    "code behind text": (
        _second_version(None, [{"id": "vlen-utf8"}, {"id": "pickle"}], dtype="|O", fill_value=""),
        True,
    ),
    "code in a compressor": (_second_version({"id": "pickle"}, None), True),
    "an unknown compressor": (_second_version({"id": "<script>"}, None), True),
    "a compressor without a name": (_second_version({"level": 3}, None), True),
    "all chunks missing": (lambda file, arrays, random: shutil.rmtree(file / arrays.main / "c"), None),
    "a chunk missing": (_chunk(lambda path, random: path.unlink()), None),
    "a chunk empty": (_chunk(lambda path, random: path.write_bytes(b"")), True),
    "a chunk corrupt": (_chunk(_corrupt), True),
    "a chunk cut": (_chunk(lambda path, random: path.write_bytes(path.read_bytes()[:-20])), True),
    "a chunk that is a bomb": (_chunk(_bomb), True),
    "a chunk that says that it is huge": (_chunk(_claims), True),
    "a chunk that is a folder": (_no_file(Path.mkdir), None),
    "a chunk that is a pipe": (_no_file(os.mkfifo), True),
    "a chunk that is a loop of links": (_no_file(lambda path: path.symlink_to(path.name)), None),
    "a chunk of another array": (_chunk(lambda path, random: path.write_bytes(b"\0" * 40)), True),
    "loops of links": (_loop, None),
    "a link to the array": (_outside, None),
    "other files": (lambda file, arrays, random: (file / "notes <b>.txt").write_text(SECRET), False),
    "other folders": (lambda file, arrays, random: (file / "<script>" / "x").mkdir(parents=True), False),
}  # fmt: skip
"""Of a group: how the folder is changed, and whether it has to be refused."""
