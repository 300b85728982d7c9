"""Studies of scikit-learn's digits: 1,797 photographed digits, which are odd or even, and small (below 5) or large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TABLES = """
title = "Digits"
question = "Are odd digits found as well among large digits as among small ones?"
seed = 20261201
replicates = 2

[encoder]
kind = "{encoder}"

[pretraining]
objective = "{objective}"
cohort = 400
shares = {{ small = 0.5, large = 0.5 }}

[pretraining.schedule]
steps = 20
batch = 16

[finetuning]
shares = {{ small = 0.5, large = 0.5 }}
protocol = {{ kind = "linear_probe", draws = 2 }}

[evaluation]
test = 60
selection = 20
calibration = 40

[factors.pretraining]
levels = [
  {{ name = "small", set = {{ "pretraining.shares" = {{ small = {mixes[0]:g}, large = {rest[0]:g} }} }} }},
  {{ name = "large", set = {{ "pretraining.shares" = {{ small = {mixes[1]:g}, large = {rest[1]:g} }} }} }},
]

[factors.labels]
key = "finetuning.labels"
levels = [16, 32]

[[estimands]]
name = "swap contrast"
kind = "swap_contrast"
primary = true
subgroups = ["small", "large"]
factor = "pretraining"
skewed = ["small", "large"]
at = {{ labels = 32 }}

[generator]
kind = "images"
table = "{folder}/digits.npz"
{what}
target = "odd"
attributes = ["range"]
size = 8
channels = 1
{more}

[generator.subgroups]
small = {{}}
large = {{}}
"""

IMAGES = 'images = "{folder}/digits.npz:images"'
EMBEDDINGS = 'identifier = "name"\nembeddings = "{folder}/embeddings.npz"'


def write(folder: Path) -> None:
    """Write ``digits.npz``, with names, targets and ranges of the digits beside their images, and ``embeddings.npz``,
    the pixels as vectors in another order."""
    digits = load_digits()
    names = np.array([f"digit {i}" for i in range(len(digits.target))])
    ranges = np.where(digits.target < 5, "small", "large")
    images = np.round(digits.images / 16 * 255).astype(np.uint8)
    np.savez(folder / "digits.npz", images=images, odd=digits.target % 2, range=ranges, name=names)
    np.savez(folder / "embeddings.npz", name=names[::-1], vectors=digits.data[::-1].astype(np.float32))


def study(
    folder: Path,
    what: str = IMAGES,
    encoder: str = "linear",
    objective: str = "reconstruction",
    more: str = "",
    mixes: tuple[float, float] = (1.0, 0.0),
) -> Path:
    """Write a study file into a folder of :func:`write`.

    Args:
        folder: of the files.
        what: lines of ``[generator]`` on what is observed.
        encoder, objective: their kinds.
        more: further lines of ``[generator]``.
        mixes: share of small digits in both cohorts.
    """
    text = TABLES.format(
        folder=folder,
        encoder=encoder,
        objective=objective,
        what=what.format(folder=folder),
        more=more,
        mixes=mixes,
        rest=[round(1 - share, 6) for share in mixes],
    )
    file = folder / "digits.toml"
    file.write_text(text)
    return file
