"""``--verify``: does this machine compute what is stored? A random sample of finished arms, computed from nothing.

Encoders are pretrained again as well, in a folder that is thrown away; the study's store is only read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biasprop.component import InputError
from biasprop.execution import sweep
from biasprop.execution.progress import Progress, make
from biasprop.metrics import auc
from biasprop.status import Status
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.design import Label
from biasprop.study.study import Study

EXIT_DIFFERS = 4
"""Exit code where an arm is not what is stored."""

TOLERANCE = 0.02
"""Largest difference of an AUC, in any draw and subgroup, that another fingerprint may make. Sums in another order
differ in the last digit, and training carries that on. Twice the standard error that 1,000 test subjects of a class
leave in an AUC (about 0.01): more would be another result, less is told apart by chance."""


class VerifiedArm(NamedTuple):
    """One arm that was computed again."""

    arm: str
    result: str
    """``same bits``, ``within tolerance``, ``differs`` or ``damaged``."""
    why: str
    """In numbers, or empty."""


def verify(
    study: Study,
    only: Mapping[str, Sequence[Label]],
    store: Path,
    sample: str,
    workers: int | None,
    progress: Progress,
) -> list[VerifiedArm]:
    """Compute a random sample of a study's finished arms again and compare scores.

    Args:
        study: whose arms.
        only: factor -> levels to draw from, from ``design.chosen``.
        store: its store; nothing in it is changed.
        sample: how many: a number of arms, or a fraction of them such as 0.1.
        workers: as for ``sweep.run``.
        progress: is told what happens.

    Returns:
        One for each arm: bits are compared where the stored fingerprint is that of the new computation, otherwise AUCs,
        with :data:`TOLERANCE`.

    Raises:
        InputError: nothing is finished, the sample is none, or the store cannot be read.
    """
    stored = Store.open(store, writable=False)
    cells = design.cells(study)
    finished = [
        (i, k)
        for i, cell in enumerate(cells)
        for k, arm in enumerate(cell.arms)
        if design.is_chosen(arm, only) and _is_finished(stored, arm, cell.replicate)
    ]
    if not finished:
        raise InputError(f"{store}: no arm is finished, so there is none to verify")
    salt = os.urandom(8)
    order = sorted(finished, key=lambda place: hashlib.blake2b(repr(place).encode(), key=salt).digest())
    chosen = sorted(order[: size(sample, len(finished))])
    found: list[VerifiedArm] = []
    widths: dict[int, list[tuple[int, int]]] = {}
    for i, k in chosen:
        arm, replicate = cells[i].arms[k], cells[i].replicate
        if damage := _damage(stored, arm, replicate):
            found.append(VerifiedArm(f"{arm.name}, replicate {replicate}", "damaged", damage))
            continue
        number = int(_numbers(stored, arm, replicate)["fingerprint"])
        widths.setdefault(int((stored.fingerprint(number) or {}).get("width", 1)), []).append((i, k))
    with tempfile.TemporaryDirectory(prefix="biasprop-verify-") as folder:
        for width, arms in widths.items():
            again = Path(folder) / f"{width}" / store.name
            processes = workers if width == 1 else 0
            sweep.run(study, again, arms=arms, workers=processes, width=width, progress=progress)
            computed = Store.open(again, writable=False)
            for i, k in arms:
                arm, replicate = cells[i].arms[k], cells[i].replicate
                found.append(
                    VerifiedArm(f"{arm.name}, replicate {replicate}", *_compared(stored, computed, arm, replicate))
                )
    return found


def size(sample: str, of: int) -> int:
    """How many arms a sample asks for, at least 1.

    Args:
        sample: a number of arms, or a fraction written with a point.
        of: how many there are.

    Raises:
        InputError: it is neither.
    """
    try:
        number = float(sample) if "." in sample else int(sample)
    except ValueError:
        number = -1
    if not (0 < number <= 1 if isinstance(number, float) else number >= 1):
        raise InputError(f"--verify {sample}: has to be a number of arms, such as 5, or a fraction, such as 0.1")
    return max(1, math.ceil(number * of)) if isinstance(number, float) else min(number, of)


def main(
    study: Study,
    only: Mapping[str, Sequence[Label]],
    store: Path,
    sample: str,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Verify, print a line an arm and a count, or one JSON object, and give the exit code: 0, or :data:`EXIT_DIFFERS`."""
    shown = make(quiet)
    try:
        found = verify(study, only, store, sample, workers, shown)
    finally:
        shown.finish()
    counts = Counter(one.result for one in found)
    if as_json:
        print(json.dumps({"verified": [one._asdict() for one in found], "counts": counts}, allow_nan=False))
    else:
        print(*(f"{one.result}: {one.arm}{one.why and f' ({one.why})'}" for one in found), sep="\n")
        print(f"{len(found)} computed again: {', '.join(f'{count} {what}' for what, count in counts.items())}")
    return EXIT_DIFFERS if counts["differs"] + counts["damaged"] else 0


def _is_finished(store: Store, arm: design.Arm, replicate: int) -> bool:
    try:
        return bool((store.status_of(arm.levels, replicate)[: arm.draws] == Status.OK).all())
    except KeyError:  # a level or replicate that the store does not have yet
        return False


def _damage(stored: Store, arm: design.Arm, replicate: int) -> str:
    """What is wrong on disk with an arm; empty where nothing is."""
    found = stored.verify([(arm.levels, replicate)], repair=False)
    return next((damage.reason for damage in found if damage.arm is not None), "")


def _compared(stored: Store, again: Store, arm: design.Arm, replicate: int) -> tuple[str, str]:
    old, new = (_numbers(store, arm, replicate) for store in (stored, again))
    if (old["status"] != new["status"]).any():
        return "differs", f"status was {old['status'].tolist()}, is {new['status'].tolist()}"
    if old["fingerprint"] == new["fingerprint"]:
        moved = np.max(np.abs(old["score"] - new["score"]), initial=0.0)
        same = old["checksum"] == new["checksum"]
        return ("same bits", "") if same else ("differs", f"scores by up to {moved:.2g}, on one fingerprint")
    gap = float(np.nanmax(np.abs(_areas(old) - _areas(new)), initial=0.0))
    told = f"another fingerprint; AUC by up to {gap:.2g}, {TOLERANCE:g} is allowed"
    return ("within tolerance" if gap <= TOLERANCE else "differs"), told


def _numbers(store: Store, arm: design.Arm, replicate: int) -> dict[str, Any]:
    at = store.index(arm.levels, replicate)
    found = {name: np.asarray(store.array(name)[at]) for name in ("score", "label", "fingerprint", "checksum")}
    found["score"] = found["score"][: arm.draws]
    return found | {"status": store.status_of(arm.levels, replicate)[: arm.draws]}


def _areas(numbers: Mapping[str, Any]) -> np.ndarray:
    """AUC of every draw and subgroup."""
    return np.asarray(auc(numbers["score"], numbers["label"]))
