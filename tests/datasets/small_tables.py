"""A small table of people with its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "name,sex,age,sick,person,split"
SPLITS = ("train", "val", "test")


def rows(n: int = 360) -> list[list[str]]:
    """Cells of a table of ``n`` people, two images each of whom are in one split."""
    return [
        [
            f"{i:03}.png",
            "female" if i % 4 < 2 else "male",
            str(20 + i),
            "yes" if i // 4 % 2 else "no",
            f"p{i // 2}",
            SPLITS[i // 2 % 3],
        ]
        for i in range(n)
    ]


def made(folder: Path, cells: list[list[str]], header: str = HEADER, size: int = 12) -> Path:
    """A folder with a table, ``people.csv``, and the pictures it names."""
    (folder / "people.csv").write_text("\n".join([header, *(",".join(line) for line in cells)]) + "\n")
    for i, line in enumerate(cells):
        file = folder / line[0]
        if file.suffix == ".png" and not file.exists():
            Image.fromarray(np.full((size, size + 4, 3), i % 256, np.uint8)).save(file)
    return folder
