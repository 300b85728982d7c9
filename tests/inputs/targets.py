"""Commands that read files of users, and these files: each target is one of them, to be mutated."""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from biasprop.observers import ledger
from biasprop.report import results
from biasprop.study import design
from biasprop.study.load import load_study
from tests.card.test_facts import VALID
from tests.filled import fill
from tests.inputs.mutations import dicom, nifti, zarr_arrays
from tests.inputs.mutations.arrays import Arrays, archive
from tests.inputs.mutations.tables import Table, written
from tests.source_tree import ROOT

OUTPUTS = ("out.html", "out.json", "out.md")
BEFORE = "before\n"
"""Content of every output before a command writes it."""
PICTURE = 7
"""Row of the picture that is mutated."""
FORMATS = {"jpg": "photo.jpg", "tif": "scan.tif", "dcm": "scan.dcm", "nii": "volume.nii", "nii.gz": "volume.nii.gz"}
"""Kind of file, and column of names -> the picture of this row. Pictures of the other rows are PNG."""
PICTURES = ("png", *FORMATS)
"""Kinds of files that are pictures."""
FOLDERS = ("store", "zarr")
"""Kinds of files that are folders. What is mutated is a copy of the one beside the folder of all files."""

COLUMNS = {"label": "y", "score": "p", "attribute": "sex", "bins": "age", "person": "patient", "split": "split"}
COLUMNS |= {"weight": "w", "id": "id", "file": "file"}


def _reads(*roles: str) -> dict[str, str]:
    """Column -> role."""
    return {COLUMNS[role]: role for role in roles}


AUDIT = "--label y --score p --by sex,age --bins age=18,65 --person patient --weight w --threshold-from split=val"
CARD = "--out out.html --out out.json --out out.md"
STUDY = """title = "People"
question = "Is it used or refused?"
seed = 1
replicates = 1
[generator]
kind = "images"
table = "people.csv"
file = "file"
images = "pictures"
target = "y"
person = "patient"
split = "split"
attributes = ["sex"]
size = 8
[generator.subgroups]
a = { values = ["F"] }
b = { values = ["M"] }
[encoder]
kind = "linear"
[pretraining]
objective = "reconstruction"
cohort = 24
shares = { a = 0.5, b = 0.5 }
[pretraining.schedule]
steps = 10
batch = 8
[finetuning]
shares = { a = 0.5, b = 0.5 }
protocol = { kind = "linear_probe", draws = 1 }
[evaluation]
test = 20
selection = 4
calibration = 20
[factors.labels]
key = "finetuning.labels"
levels = [8]
[[estimands]]
name = "gap"
kind = "gap"
primary = true
subgroups = ["a", "b"]
at = { labels = 8 }
"""
PROBED = ("generator.file=", "generator.images=", "generator.identifier=id", "encoder=embeddings")
PROBED += ("pretraining.objective=scratch",)


def _study(*settings: str) -> str:
    """Options of the study."""
    return " ".join(["study.toml --plan --out results", *(f"--set {one}" for one in settings)])


@dataclass(frozen=True)
class Target:
    """A command, and the file that is mutated."""

    command: str
    file: str
    kind: str
    """Of the file's content: a key of :data:`WRITERS` or :data:`CONTENTS`, one of :data:`FOLDERS`, or "options"."""
    words: str
    """Options of the command."""
    reads: dict[str, str] = field(default_factory=dict)
    """Column -> role, for tables."""

    @property
    def name(self) -> str:
        """Command and file."""
        return f"{self.command} {self.file}"


ASKED = _reads("label", "score", "attribute", "bins", "person", "split", "weight")
OF_IMAGES = _reads("label", "attribute", "person", "split")
FEATURES = {f"f{i}": "feature" for i in range(4)}
RESULTS = {"group": "name", "metric": "name", "mean": "number", "sd": "optional"}
OF_CARD = _reads("label", "score", "attribute", "person")
WITH_METADATA = "scores.csv --metadata who.csv --on id --label y --score p --by sex --json"
WITH_FACTS = "people.csv --label y --score p --by sex --person patient --facts facts.toml"
WITH_FEATURES = "people.csv --label y --by sex --embeddings"


def _of_pictures(column: str, *settings: str) -> str:
    """Options of the study with the pictures that another column names."""
    return _study(f"generator.file={column}", *settings)


FROM_ARRAY = _study("generator.file=", "generator.images=images.npz")

TARGETS = (
    Target("audit", "people.csv", "csv", f"people.csv {AUDIT} --html out.html", ASKED),
    Target("audit", "people.parquet", "parquet", f"people.parquet {AUDIT} --json", ASKED),
    Target("audit", "who.csv", "csv", WITH_METADATA, _reads("label", "attribute", "id")),
    Target("audit", "results.csv", "csv", "results.csv --html out.html", RESULTS),
    Target("card", "people.csv", "csv", f"{WITH_FACTS} {CARD}", OF_CARD),
    Target("card", "facts.toml", "toml", f"--facts facts.toml {CARD}"),
    Target("card", "features.npz", "npz", f"{WITH_FEATURES} features.npz --on id {CARD}", _reads("id")),
    Target("card", "features.csv", "csv", f"{WITH_FEATURES} features.csv --on id {CARD}", FEATURES | _reads("id")),
    Target("card", "features.npy", "npy", f"{WITH_FEATURES} features.npy {CARD}"),
    Target("card", "store", "store", f"--study store {CARD}"),
    Target("page", "store", "store", "store --out out.html"),
    Target("run", "people.csv", "csv", _study(), OF_IMAGES | _reads("file")),
    Target("run", f"pictures/{PICTURE:03}.png", "png", _study()),
    Target("run", "pictures/photo.jpg", "jpg", _of_pictures("jpg")),
    Target("run", "pictures/scan.tif", "tif", _of_pictures("tif")),
    Target("run", "pictures/scan.dcm", "dcm", _of_pictures("dcm")),
    Target("run", "pictures/volume.nii", "nii", _of_pictures("nii", "generator.channels=1")),
    Target("run", "pictures/volume.nii.gz", "nii.gz", _of_pictures("nii.gz")),
    Target("run", "people.parquet", "parquet", _study("generator.table=people.parquet"), OF_IMAGES | _reads("file")),
    Target("run", "people.npz", "table.npz", f"{FROM_ARRAY} --set generator.table=people.npz", OF_IMAGES),
    Target("run", "images.npz", "npz", FROM_ARRAY),
    Target("run", "images.zarr", "zarr", _study("generator.file=", "generator.images=images.zarr")),
    Target("run", "features.zarr", "zarr", _study(*PROBED, "generator.embeddings=features.zarr"), _reads("id")),
    Target("run", "features.npz", "npz", _study(*PROBED, "generator.embeddings=features.npz"), _reads("id")),
    Target("run", "features.csv", "csv", _study(*PROBED, "generator.embeddings=features.csv"), FEATURES | _reads("id")),
    Target("run", "--set", "options", _study()),
)
"""What is mutated, and the command that reads it."""

FACTS = f"""{VALID.lstrip()}[finetuning]
labels = 300
[validation]
results = "none"
"""


def tables() -> dict[str, tuple[list[str], list[list[str]]]]:
    """File -> names of columns and cells."""
    random, people = np.random.default_rng(1), []
    names = ["id", "y", "p", "sex", "age", "patient", "split", "w", "file", "note", *FORMATS]
    for i in range(240):
        who = i // 2
        y = who // 2 % 2
        score = f"{np.clip(0.3 + 0.3 * y + random.normal(0, 0.2), 0.01, 0.99):.4f}"
        part = ("test", "val", "test", "train", "test", "test")[who // 4 % 6]
        people.append(
            [
                f"i{i}",
                str(y),
                score,
                "FM"[who % 2],
                str(20 + who % 60),
                f"q{who}",
                part,
                "1.5",
                f"{i:03}.png",
                "nothing",
                *(file if i == PICTURE else f"{i:03}.png" for file in FORMATS.values()),
            ]
        )
    features = [[row[0], *(f"{x:.3f}" for x in random.normal(int(row[1]), 1, 4))] for row in people]
    results = [[group, metric, "0.8", "0.02"] for group in ("F", "M", "all") for metric in ("auc", "f1")]
    return {
        "people": (names, people),
        "scores": (["id", "p"], [[row[0], row[2]] for row in people]),
        "who": (["id", "y", "sex", "note"], [[row[0], row[1], row[3], row[9]] for row in people]),
        "results": (["group", "metric", "mean", "sd"], results),
        "features": (["id", *FEATURES], features),
    }


def table(target: Target) -> Table:
    """The table of a target."""
    names, rows = tables()[target.file.partition(".")[0]]
    return Table(list(names), [list(row) for row in rows], dict(target.reads))


def arrays(target: Target) -> Arrays:
    """The arrays of a target."""
    _, rows = tables()["features"]
    if target.file.startswith("features"):
        values = np.array([row[1:] for row in rows], np.float32)
        keys = {"id": np.array([row[0] for row in rows])} if "id" in target.reads else {}
        return Arrays({"features": values} | keys, "features", *keys)
    pixels = np.random.default_rng(2).integers(0, 256, (len(rows), 8, 8, 3), np.uint8)
    return Arrays({"images": pixels}, "images")


def parquet_of(found: Table) -> bytes:
    import pyarrow as arrow  # pyright: ignore[reportMissingImports]
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    columns = [arrow.array([row[i] for row in found.rows], arrow.string()) for i in range(len(found.names))]
    out = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(columns, names=found.names), out)
    return out.getvalue()


def npz_of(found: Table) -> bytes:
    columns = {name: np.array([row[i] for row in found.rows], str) for i, name in enumerate(found.names)}
    return archive(Arrays(columns, ""))


WRITERS: dict[str, Callable[[Table], bytes]] = {
    "csv": lambda found: written(found).encode(),
    "parquet": parquet_of,
    "table.npz": npz_of,
}
"""Kind of file -> a table as its content."""


def _picture(target: Target) -> bytes:
    out = io.BytesIO()
    form = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[target.kind]
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (12, 10, 3), np.uint8)).save(out, form)
    return out.getvalue()


def _npy(target: Target) -> bytes:
    out = io.BytesIO()
    np.save(out, arrays(target).named["features"])
    return out.getvalue()


CONTENTS: dict[str, Callable[[Target], bytes]] = {
    "npz": lambda target: archive(arrays(target)),
    "npy": _npy,
    **dict.fromkeys(("png", "jpg", "tif"), _picture),
    "dcm": lambda target: dicom.content(dicom.dataset()),
    "nii": lambda target: nifti.volume(),
    "nii.gz": lambda target: gzip.compress(nifti.volume()),
    "toml": lambda target: FACTS.encode(),
}
"""Kind of file that is no table -> the content of a target's file."""


def content(target: Target) -> bytes:
    """The content of a target's file, before it is mutated."""
    return WRITERS[target.kind](table(target)) if target.kind in WRITERS else CONTENTS[target.kind](target)


def made(folder: Path) -> None:
    """Write all files into a folder."""
    for target in TARGETS:
        file = folder / target.file
        file.parent.mkdir(exist_ok=True)
        if target.kind == "zarr":
            zarr_arrays.write(folder.parent / file.name, arrays(target))
            shutil.copytree(folder.parent / file.name, file)
        elif target.kind not in ("store", "options"):
            file.write_bytes(content(target))
    picture = folder / "pictures" / f"{PICTURE:03}.png"
    for name in {row[8] for row in tables()["people"][1]} - {picture.name}:
        shutil.copy(picture, picture.with_name(name))
    for name in ("scores", "features"):
        names, rows = tables()[name]
        (folder / f"{name}.csv").write_text(written(Table(names, rows, {})))
    (folder / "study.toml").write_text(STUDY)
    for name in OUTPUTS:
        (folder / name).write_text(BEFORE)


def filled_store(store: Path) -> None:
    """Fill a store with invented scores, and draw its figures."""
    study = load_study(ROOT / "tests" / "torture" / "small.toml")
    fill(study, store, design.cells(study))
    results.Report(study, store, ledger.load_or_compute(study, store)).draw()
