"""One flipped byte, or a cut, in any file of a finished study: named, mended by the same command, the same bits."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from biasprop import run
from biasprop.store.store import Store
from biasprop.store.variables import VARIABLES
from tests.torture.harness import STUDY, Tally, differences, store_in

SILENT = ("locks", ".lock", ".md", "timings.json")
"""Files that hold no result and nothing that a result hangs on."""


def damages(folder: Path, reference: Path, chosen: np.random.Generator, chunks: int, names: str = "") -> Tally:
    """Damage files one at a time, in this process, which keeps what it has compiled.

    Args:
        folder: for a copy of the results.
        reference: the store of a finished run, encoders beside it.
        chosen: where positions come from.
        chunks: how many chunks of each variable.
        names: only files in whose path, within the results, this regular expression is found.
    """
    tally = Tally("damaged files")
    out = folder / "damaged"
    shutil.copytree(reference.parent, out)
    store = store_in(out)
    command(out)  # figures and tables of this place
    for file in _files(out, store, chosen, chunks):
        if not re.search(names, str(file.relative_to(out))):
            continue
        content = file.read_bytes()
        for harm in ("flip", "cut"):
            tally.tried += 1
            file.write_bytes(_harmed(content, harm, chosen))
            faults = _mended(out, store, file, reference)
            if file.parent.name == "figures" and file.read_bytes() != content and file.suffix != ".json":
                faults.append("not drawn again")
            for fault in faults:
                tally.faults.append(f"{harm} of {file.relative_to(out)}: {fault}")
            if not file.exists() or file.suffix == ".jsonl":
                file.write_bytes(content)
    tally.notes["damages named in the log"] = sum(e["event"] == "damaged" for e in Store.open(store).events())
    return tally


def command(out: Path, *words: str) -> tuple[int, str]:
    """The command in this process."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = run.main([str(STUDY), "--out", str(out), "-q", "--workers", "0", *words])
    return code, said.getvalue()


def _files(out: Path, store: Path, chosen: np.random.Generator, chunks: int) -> Iterator[Path]:
    for folder in (store / "cube.zarr" / name for name in VARIABLES):
        files = sorted(path for path in (folder / "c").rglob("*") if path.is_file())
        yield from [files[i] for i in sorted(chosen.permutation(len(files))[:chunks])]
    rest = [path for path in out.rglob("*") if path.is_file() and not _is_arm(path)]
    yield from sorted(path for path in rest if not any(part in str(path) for part in SILENT) and path.stat().st_size)


def _is_arm(file: Path) -> bool:
    """Whether a file is a chunk of a variable, not of a coordinate."""
    return any(folder.name == "c" and folder.parent.name in VARIABLES for folder in file.parents)


def _harmed(content: bytes, harm: str, chosen: np.random.Generator) -> bytes:
    position = int(chosen.integers(0, len(content)))
    if harm == "cut":
        return content[:position]
    return content[:position] + bytes([content[position] ^ (1 << int(chosen.integers(0, 8)))]) + content[position + 1 :]


def _mended(out: Path, store: Path, file: Path, reference: Path) -> list[str]:
    """What is wrong after the same command has run again."""
    arms = _is_arm(file)
    in_cube = file.is_relative_to(store)
    # An encoder is read when an arm of it is open: open them all.
    if not in_cube:
        for stored in Store.open(store).path.glob("cube.zarr/status/c/*/*/*/0/0"):
            stored.unlink()
    before = len(Store.open(store).events()) if in_cube else 0
    code, said = command(out)
    if code:
        return [f"exit code {code}: {said[-1000:]}"]
    wrong = [f"{name} differs" for name in differences(store, reference)]
    if damage := Store.open(store, writable=False).verify(repair=False):
        wrong.append(f"still damaged: {damage[0]}")
    events = Store.open(store, writable=False).events()[before:]
    named = [event for event in events if event["event"] == "damaged"]
    again = [event for event in events if event["event"] == "arm"]
    if arms and (len(again) > 1 or len(again) != len([event for event in named if event["arm"]])):
        wrong.append(f"{len(again)} arms computed again, {len(named)} damages named")
    return wrong
