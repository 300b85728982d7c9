"""Commands on a user's files, one of which is mutated: it is used, or refused with file, place and column.

    TARGETS x the mutations of tests.inputs.mutations that fit the file of the target

Commands run in this process, in a folder whose files are made once; the file that a case changes is made again from its
content, and what the command wrote is checked and removed.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biasprop.terminal import printable
from tests.html.structure import page_problems
from tests.inputs import targets
from tests.inputs.fuzz import limited
from tests.inputs.mutations import arrays, contents, dicom, nifti, tables, toml, zarr_arrays
from tests.inputs.mutations.changed import SECRET, Changed, Random
from tests.inputs.targets import BEFORE, FOLDERS, OUTPUTS, PICTURE, PICTURES, TARGETS, Target

COMMANDS = {"audit": "biasprop.audit.__main__", "card": "biasprop.card.__main__", "page": "biasprop.page"}
COMMANDS |= {"run": "biasprop.run"}
SECONDS = 120
"""A case that takes longer hangs."""

# What is done to a file: the mutations of its kind, of bytes, and of files.

Mutation = Callable[[Path, Target, Random], Changed | None]


def _in_table(name: str, file: Path, target: Target, random: Random) -> Changed | None:
    found = targets.table(target)
    changed = tables.TABLES[name](found, random)
    write = {
        "csv": lambda one: tables.written(one).encode(),
        "parquet": targets.parquet_of,
        "table.npz": targets.npz_of,
    }
    file.write_bytes(write[target.kind](found))
    return changed


def _in_text(name: str, file: Path, target: Target, random: Random) -> Changed:
    content, changed = tables.TEXTS[name](targets.table(target), random)
    file.write_bytes(content)
    return changed


def _in_arrays(name: str, file: Path, target: Target, random: Random) -> Changed | None:
    found = targets.arrays(target)
    changed = arrays.ARRAYS[name](found, random)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflow, of names that are there twice
        file.write_bytes(arrays.archive(found))
    return changed


def _in_toml(name: str, file: Path, target: Target, random: Random) -> Changed:
    lines = file.read_text().split("\n")[:-1]
    changed = toml.TOMLS[name](lines, random)
    file.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
    return changed


def _in_picture(name: str, file: Path, target: Target, random: Random) -> Changed:
    change, refused = contents.PICTURES[name]
    file.write_bytes(change(file.read_bytes(), random))
    return Changed(refused, (PICTURE,))


def _in_dicom(name: str, file: Path, target: Target, random: Random) -> Changed:
    change, refused = dicom.DICOMS[name]
    made = dicom.dataset()
    whole = change(made, random)
    file.write_bytes(dicom.content(made) if whole is None else whole)
    return Changed(refused, (PICTURE,))


def _in_volume(name: str, file: Path, target: Target, random: Random) -> Changed:
    change, refused = nifti.NIFTIS[name]
    whole = change(nifti.volume(), random)
    file.write_bytes(gzip.compress(whole) if target.kind == "nii.gz" else whole)
    return Changed(refused, (PICTURE,))


def _in_compressed(name: str, file: Path, target: Target, random: Random) -> Changed:
    change, refused = nifti.COMPRESSED[name]
    file.write_bytes(change(nifti.volume(), random))
    return Changed(refused, (PICTURE,))


def _in_zarr(name: str, file: Path, target: Target, random: Random) -> Changed:
    change, refused = zarr_arrays.ZARRS[name]
    change(file, targets.arrays(target), random)
    return Changed(refused)


def _zarr_of_arrays(name: str, file: Path, target: Target, random: Random) -> Changed | None:
    """What :func:`_in_arrays` does to an .npz file, if zarr can store it."""
    found = targets.arrays(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = arrays.ARRAYS[name](found, random)
        shutil.rmtree(file)
        try:
            zarr_arrays.write(file, found)
        except Exception:  # zarr has no such type
            return None
    return None if found.extra else changed


def _in_bytes(name: str, file: Path, target: Target, random: Random) -> Changed:
    change, refused = contents.BYTES[name]
    file.write_bytes(change(file.read_bytes(), random))
    blank = refused and target.kind == "toml" and name == "blank"
    return Changed(None if blank else refused)


def _of_file(name: str, file: Path, target: Target, random: Random) -> Changed:
    contents.FILES[name](file)
    return Changed(True)


def _in_folder(layer: Mutation, file: Path, target: Target, random: Random) -> Changed:
    """A file of a store, or of zarr: some are caches or hold what the command does not need."""
    files = sorted(path for path in file.rglob("*") if path.is_file() and path.stat().st_size)
    layer(files[int(random.integers(len(files)))], target, random)
    return Changed()


def _folder_gone(file: Path, target: Target, random: Random) -> Changed:
    shutil.rmtree(file)
    how = int(random.integers(4))
    if how == 1:
        file.write_bytes(b"text")
    elif how == 2:
        file.mkdir()
    elif how == 3:
        file.symlink_to(file.name)
    return Changed(True)


def _option(key: str, file: Path, target: Target, random: Random) -> Changed:
    value = toml.SETTINGS[key][int(random.integers(len(toml.SETTINGS[key])))]
    return Changed(None, column=f"{key}={value}")


Layer = tuple[str, Callable[[str, Path, Target, Random], Changed | None], Iterable[str]]
"""What stands before the names of some mutations, what applies one by its name, and the names."""
IN_TABLE: Layer = ("", _in_table, tables.TABLES)
IN_VOLUME: Layer = ("NIfTI: ", _in_volume, nifti.NIFTIS)
LAYERS: dict[str, tuple[Layer, ...]] = {
    "csv": (IN_TABLE, ("text: ", _in_text, tables.TEXTS)),
    "parquet": (IN_TABLE,),
    "table.npz": (IN_TABLE,),
    "npz": (("arrays: ", _in_arrays, arrays.ARRAYS),),
    "npy": (),
    "png": (("picture: ", _in_picture, contents.PICTURES),),
    "tif": (("picture: ", _in_picture, contents.PICTURES),),
    "jpg": (),
    "dcm": (("DICOM: ", _in_dicom, dicom.DICOMS),),
    "nii": (IN_VOLUME,),
    "nii.gz": (IN_VOLUME, ("gzip: ", _in_compressed, nifti.COMPRESSED)),
    "zarr": (("zarr: ", _in_zarr, zarr_arrays.ZARRS), ("arrays: ", _zarr_of_arrays, arrays.ARRAYS)),
    "toml": (("toml: ", _in_toml, toml.TOMLS),),
    "store": (),
    "options": (("", _option, toml.SETTINGS),),
}
"""Mutations of one kind of file."""
OF_EVERY_FILE: tuple[Layer, ...] = (("bytes: ", _in_bytes, contents.BYTES), ("file: ", _of_file, contents.FILES))


def of_kind(kind: str) -> dict[str, Mutation]:
    """Every mutation of a kind of file, by name."""
    own, every = _named(LAYERS[kind]), _named(OF_EVERY_FILE)
    if kind in FOLDERS:
        every = {f"inside, {name}": partial(_in_folder, one) for name, one in every.items()}
        every["no folder"] = _folder_gone
    return own if kind == "options" else own | every


def _named(layers: Iterable[Layer]) -> dict[str, Mutation]:
    return {f"{before}{name}": partial(layer, name) for before, layer, names in layers for name in names}


@dataclass(frozen=True)
class Case:
    """A target and a mutation."""

    target: Target
    mutation: str
    seed: tuple[int, int]

    @property
    def name(self) -> str:
        """What a failure is called."""
        return f"{self.target.name}: {self.mutation} {list(self.seed)}"


def cases(number: int, seed: int, among: Sequence[Target] = TARGETS) -> Iterator[Case]:
    """Every mutation of every target in turn, in an order that the seed decides."""
    pairs = [(target, name) for target in among for name in of_kind(target.kind)]
    order = np.random.default_rng(seed).permutation(len(pairs))
    for i in range(number):
        target, name = pairs[order[i % len(pairs)]]
        yield Case(target, name, (seed, i))


class Checker:
    """Runs cases in a folder of :func:`made`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]):
        self.folder, self.capsys = folder, capsys
        self.counts: dict[str, Counter[str]] = {}
        """Command and mutation -> cases, refused and accepted."""
        self.unfit = 0
        """Cases of which the target has no column that fits."""

    def check(self, case: Case) -> None:
        """Run a case.

        Raises:
            AssertionError: what the command does with it is wrong.
        """
        target = case.target
        file = self.folder / target.file
        try:
            changed = of_kind(target.kind)[case.mutation](file, target, np.random.default_rng(case.seed))
            if changed is None:
                self.unfit += 1
                return
            words = target.words.split() + ["--set", changed.column] * (target.kind == "options")
            before = _state(self.folder)
            with limited(SECONDS), warnings.catch_warnings():
                warnings.simplefilter("error")
                code = _main(target.command)(words)
            out, told = self.capsys.readouterr()
            what = f"{case.name}: code {code}: {told or out[:300]}"
            written = [(self.folder / name).read_text(encoding="utf-8") for name in OUTPUTS]
            assert not any(SECRET in text for text in (out, told, *written)), f"{what}: names a patient"
            after = {name: one for name, one in _state(self.folder).items() if code or name not in OUTPUTS}
            assert after.items() <= before.items(), f"{what}: wrote {set(after.items()) - set(before.items())}"
            assert len(before) - len(after) <= (0 if code else len(OUTPUTS)), what
            assert code in ((0, 2) if changed.refused is None else (2 * changed.refused,)), what
            if code:
                _check_refused(target, changed, out, told, what)
            else:
                _check_accepted(self.folder, out, what)
            count = self.counts.setdefault(f"{target.command}: {case.mutation}", Counter())
            count.update(["cases", "refused" if code else "accepted"])
        finally:
            self._restore(target)

    def _restore(self, target: Target) -> None:
        file = self.folder / target.file
        if target.kind in FOLDERS:
            _remove(file)
            shutil.copytree(self.folder.parent / file.name, file)
        elif target.kind != "options":
            _remove(file)
            file.write_bytes(targets.content(target))
        for name in OUTPUTS:
            if (output := self.folder / name).read_text(encoding="utf-8") != BEFORE:
                output.write_text(BEFORE)

    def report(self) -> str:
        """Counts by command, and by command and mutation."""
        commands: dict[str, Counter[str]] = {}
        for name, count in self.counts.items():
            commands.setdefault(name.partition(":")[0], Counter()).update(count)
        every = Counter[str]()
        for count in commands.values():
            every.update(count)
        lines = {"all": every} | commands | dict(sorted(self.counts.items()))
        words = ("cases", "refused", "accepted")
        return "\n".join(f"{name}: " + ", ".join(f"{n[word]} {word}" for word in words) for name, n in lines.items())


def _main(command: str) -> Callable[[list[str]], int]:
    return import_module(COMMANDS[command]).main


def _remove(file: Path) -> None:
    if file.is_symlink() or not file.is_dir():
        file.unlink(missing_ok=True)
    else:
        shutil.rmtree(file)


def _state(folder: Path) -> dict[str, Any]:
    """Name -> size and time of every file and link."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root) / name
            stat = path.lstat()
            is_folder = path.is_dir() and not path.is_symlink()
            found[str(path.relative_to(folder))] = 0 if is_folder else (stat.st_size, stat.st_mtime_ns)
    return found


def _check_refused(target: Target, changed: Changed, out: str, told: str, what: str) -> None:
    """One message with file, place and column, and nothing else."""
    assert out == "" and told.strip(), what
    assert "Traceback" not in told and "Error:" not in told.partition("(")[0], what
    assert told.count("\n") <= 12 and told.endswith("\n"), what
    assert all(c.isprintable() or c == "\n" for c in told), what
    assert len(told) < 12_000, what
    if target.kind == "options":
        key = changed.column.partition("=")[0]
        assert "--set" in told or key in told or re.match(r"study\.toml:\d+: [a-z]", told), what
        return
    assert Path(target.file).name in told, what
    if changed.rows:
        first = 2 if target.kind in ("csv", *PICTURES) else 1
        places = "|".join(f"{row + first:,}" for row in changed.rows)
        assert re.search(rf"(:|lines? |rows? |image |and )({places})\b", told), f"{what}; expected {places}"
    if changed.line:
        assert re.search(rf":{changed.line}:", told), f"{what}; expected line {changed.line}"
    if changed.column:
        assert printable(changed.column) in told, f"{what}; expected {changed.column}"


def _refuse_constant(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def _check_accepted(folder: Path, out: str, what: str) -> None:
    """What was written is well formed, and text is data."""
    assert all(c.isprintable() or c == "\n" for c in out), what
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in OUTPUTS}
    for name, text in texts.items():
        if text == BEFORE:
            continue
        if name == "out.html":
            assert not list(page_problems(text)) and "<script" not in text.lower(), (
                f"{what}: {list(page_problems(text))}"
            )
        elif name == "out.json":
            json.loads(text, parse_constant=_refuse_constant)
        else:
            assert "<script" not in text.lower(), what
    if out.startswith("{"):
        json.loads(out, parse_constant=_refuse_constant)
