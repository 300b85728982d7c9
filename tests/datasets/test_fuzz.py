"""Damaged files are read or refused; nothing else is ever raised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biasprop.component import InputError
from biasprop.datasets.arrays import ArrayFile
from biasprop.datasets.people import Files, read
from biasprop.datasets.pictures import Unreadable, picture

CASES = 150
"""Damaged copies of each file."""


def arrays(file: Path) -> None:
    found = ArrayFile(file)
    for name in found.shapes:
        found.read(name)


def pixels(file: Path) -> None:
    picture(file, 8, 3, "pad")


def table(file: Path) -> None:
    read(
        Files(
            str(file),
            ("sex",),
            (("female", (("female",),)), ("male", (("male",),))),
            "sick",
            person="person",
            split="split",
            parts=(("train",), ("val",), ("test",)),
        )
    )


def csv(file: Path) -> None:
    lines = [f"{'fe' * (i % 2)}male,{i // 2 % 2},p{i},{('train', 'val', 'test')[i % 3]}" for i in range(40)]
    file.write_text("\n".join(["sex,sick,person,split", *lines]) + "\n")


def npz(file: Path) -> None:
    n = np.arange(40)
    sex = np.where(n % 2, "female", "male")
    np.savez_compressed(file, sex=sex, sick=n // 2 % 2, person=n, split=np.array(["train", "val", "test"])[n % 3])


def image(file: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (12, 12, 3), np.uint8)).save(file)


FILES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "a.npz": (npz, arrays),
    "a.npy": (lambda file: np.save(file, np.ones((9, 8), np.float32)), arrays),
    "b.npz": (npz, table),
    "a.csv": (csv, table),
    "a.png": (image, pixels),
    "a.jpg": (image, pixels),
    "a.tif": (image, pixels),
    "a.gif": (image, pixels),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    write, use = FILES[name]
    file = tmp_path / name
    write(file)
    use(file)
    whole, random = file.read_bytes(), np.random.default_rng([4, *name.encode()])
    for _ in range(CASES):
        damaged = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            kind, at = random.integers(4), int(random.integers(len(damaged) or 1))
            if kind == 0:
                damaged[at : at + 1] = bytes([random.integers(256)])
            elif kind == 1:
                del damaged[at:]
            elif kind == 2:
                del damaged[at : at + int(random.integers(1, 20))]
            else:
                damaged[at:at] = random.bytes(int(random.integers(1, 20)))
        file.write_bytes(bytes(damaged))
        try:
            use(file)
        except (InputError, Unreadable) as error:
            assert str(error)
