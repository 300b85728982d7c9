"""Encoders come back bit for bit or not at all."""

from pathlib import Path

import numpy as np
import pytest

from biasprop.store.encoders import EncoderStore, encoder_key

KEY = encoder_key("0123456789abcdef", "fedcba9876543210", 3)
ARRAYS = {
    "params/head/0.weight": np.arange(12, dtype="f4").reshape(3, 4),
    "step": np.int32(7),
    "a": np.zeros((0, 2), "f8"),
}


def test_round_trip(tmp_path: Path) -> None:
    store = EncoderStore(tmp_path / "encoders")
    assert store.load(KEY) is None and store.info(KEY) is None
    path = store.save(KEY, ARRAYS, {"seconds": 1.5, "loss": [3.0, 2.0]})
    assert path == tmp_path / "encoders" / "0123456789abcdef-fedcba9876543210" / "replicate-3.npz"
    back = store.load(KEY)
    assert back is not None and list(back) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)
    assert store.info(KEY) == {"seconds": 1.5, "loss": [3.0, 2.0]}
    assert [file.name for file in path.parent.iterdir()] == ["replicate-3.npz"]


def test_same_arrays_same_bytes(tmp_path: Path) -> None:
    first, second = (EncoderStore(tmp_path / name).save(KEY, ARRAYS, {}) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_any_damage_counts_as_absent(tmp_path: Path) -> None:
    lines: list[str] = []
    store = EncoderStore(tmp_path, lines.append)
    path = store.save(KEY, ARRAYS, {"seconds": 1.5})
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert store.load(KEY) is None
    assert len(lines) == 5 and all(str(path) in line for line in lines)
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x20]) + content[position + 1 :])
        back = store.load(KEY)  # a flip in a zip field that is never read changes nothing
        assert back is None or all(np.array_equal(back[name], ARRAYS[name]) for name in ARRAYS)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    lines: list[str] = []
    store = EncoderStore(tmp_path, lines.append)
    path = store.path(KEY)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        np.savez(file, __info__=np.array([{"a": 1}], object))
    assert store.load(KEY) is None and lines


def test_small_files_do_not_unpack_large(tmp_path: Path) -> None:
    lines: list[str] = []
    store = EncoderStore(tmp_path, lines.append)
    path = store.path(KEY)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        np.savez_compressed(file, __info__=np.zeros(10_000_000, "u1"))
    assert store.load(KEY) is None and "unpacks" in lines[0]


@pytest.mark.parametrize("key", ["../x", "/x", "a/../b", "a//b", "", ".hidden", "a\\b/c", "a/b\n"])
def test_keys_stay_inside(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        EncoderStore(tmp_path).load(key)


def test_types_a_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="type"):
        EncoderStore(tmp_path).save(KEY, {"a": np.array(["text"])}, {})
    assert not list(tmp_path.iterdir())
