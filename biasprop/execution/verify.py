"""``--verify``: recompute a random sample of finished arms from scratch and compare them with the store.

Encoders are pretrained again as well, in a temporary folder; the study's store is only read.
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
from biasprop.store.layout import shared
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.design import Label
from biasprop.study.study import Study

EXIT_DIFFERS = 4
"""Exit code if an arm differs from what is stored."""

TOLERANCE = 0.02
"""Largest allowed difference of an AUC, in any draw and subgroup, between two fingerprints.

Sums in another order differ in the last digit, and training amplifies that. The value is twice the standard error of an
AUC with 1,000 test subjects per class (about 0.01): a larger difference would be another result, a smaller one is
within chance."""


class VerifiedArm(NamedTuple):
    """One recomputed arm."""

    arm: str
    result: str
    """``same bits``, ``within tolerance``, ``differs`` or ``damaged``."""
    reason: str
    """The difference in numbers, or empty."""


def verify(
    study: Study,
    only: Mapping[str, Sequence[Label]],
    store: Path,
    sample: str,
    workers: int | None,
    progress: Progress,
) -> list[VerifiedArm]:
    """Recompute a random sample of a study's finished arms and compare scores.

    Args:
        study: that the arms belong to.
        only: factor -> levels to draw from, from ``design.chosen``.
        store: path of its store; nothing in it is changed.
        sample: number of arms, or a fraction of them such as 0.1.
        workers: as for ``sweep.run``.
        progress: display that is kept up to date.

    Returns:
        One for each arm. Scores are compared bit by bit if the fingerprints are equal, otherwise AUCs are, with
        :data:`TOLERANCE`.

    Raises:
        InputError: no arm is finished, the sample is invalid, the store cannot be read, or it has another content of a
            level.
    """
    stored = Store.open(store, writable=False)
    shared(stored.layout, design.layout(study), store)
    cells = design.cells(study)
    finished = [
        (i, k)
        for i, cell in enumerate(cells)
        for k, arm in enumerate(cell.arms)
        if design.is_chosen(arm, only) and _is_finished(stored, arm, cell.replicate)
    ]
    if not finished:
        raise InputError(f"{store}: there is no finished arm to verify; run the study first")
    salt = os.urandom(8)
    order = sorted(finished, key=lambda position: hashlib.blake2b(repr(position).encode(), key=salt).digest())
    chosen = sorted(order[: size(sample, len(finished))])
    verified: list[VerifiedArm] = []
    by_width: dict[int, list[tuple[int, int]]] = {}
    for i, k in chosen:
        arm, replicate = cells[i].arms[k], cells[i].replicate
        if damage := _damage(stored, arm, replicate):
            verified.append(VerifiedArm(f"{arm.name}, replicate {replicate}", "damaged", damage))
            continue
        number = int(_numbers(stored, arm, replicate)["fingerprint"])
        by_width.setdefault(int((stored.fingerprint(number) or {}).get("width", 1)), []).append((i, k))
    with tempfile.TemporaryDirectory(prefix="biasprop-verify-") as folder:
        for width, arms in by_width.items():
            again = Path(folder) / f"{width}" / store.name
            processes = workers if width == 1 else 0
            sweep.run(study, again, arms=arms, workers=processes, width=width, progress=progress)
            computed = Store.open(again, writable=False)
            for i, k in arms:
                arm, replicate = cells[i].arms[k], cells[i].replicate
                verified.append(
                    VerifiedArm(f"{arm.name}, replicate {replicate}", *_compared(stored, computed, arm, replicate))
                )
    return verified


def size(sample: str, of: int) -> int:
    """Number of arms in a sample, at least 1.

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
        raise InputError(f"--verify {sample}: has to be a number of arms such as 5, or a fraction such as 0.1")
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
    """Verify and print one line per arm and a count, or one JSON object.

    Returns:
        The exit code: 0, or :data:`EXIT_DIFFERS`.
    """
    progress = make(quiet)
    try:
        arms = verify(study, only, store, sample, workers, progress)
    finally:
        progress.finish()
    counts = Counter(arm.result for arm in arms)
    if as_json:
        print(json.dumps({"verified": [_as_json(arm) for arm in arms], "counts": counts}, allow_nan=False))
    else:
        print(*(f"{arm.result}: {arm.arm}{arm.reason and f' ({arm.reason})'}" for arm in arms), sep="\n")
        print(f"{len(arms)} recomputed: {', '.join(f'{count} {result}' for result, count in counts.items())}")
    return EXIT_DIFFERS if counts["differs"] + counts["damaged"] else 0


def _as_json(arm: VerifiedArm) -> dict[str, str]:
    return {"arm": arm.arm, "result": arm.result, "why": arm.reason}


def _is_finished(store: Store, arm: design.Arm, replicate: int) -> bool:
    try:
        return bool((store.status_of(arm.levels, replicate)[: arm.draws] == Status.OK).all())
    except KeyError:  # the store does not have this level or replicate yet
        return False


def _damage(stored: Store, arm: design.Arm, replicate: int) -> str:
    """What is damaged on disk of an arm; empty if nothing is."""
    damages = stored.verify([(arm.levels, replicate)], repair=False)
    return next((damage.reason for damage in damages if damage.arm is not None), "")


def _compared(stored: Store, again: Store, arm: design.Arm, replicate: int) -> tuple[str, str]:
    old, new = (_numbers(store, arm, replicate) for store in (stored, again))
    if (old["status"] != new["status"]).any():
        return "differs", f"status of the draws was {_words(old['status'])}, now {_words(new['status'])}"
    if old["fingerprint"] == new["fingerprint"]:
        difference = np.max(np.abs(old["score"] - new["score"]), initial=0.0)
        same = old["checksum"] == new["checksum"]
        reason = f"scores differ by up to {difference:.2g}, although software and hardware are the same"
        return ("same bits", "") if same else ("differs", reason)
    difference = float(np.nanmax(np.abs(_aucs(old) - _aucs(new)), initial=0.0))
    reason = f"on other software or hardware; AUCs differ by up to {difference:.2g}; {TOLERANCE:g} is allowed"
    return ("within tolerance" if difference <= TOLERANCE else "differs"), reason


def _words(status: np.ndarray) -> str:
    return ", ".join(Status(state).words for state in status.tolist())


def _numbers(store: Store, arm: design.Arm, replicate: int) -> dict[str, Any]:
    at = store.index(arm.levels, replicate)
    numbers = {name: np.asarray(store.array(name)[at]) for name in ("score", "label", "fingerprint", "checksum")}
    numbers["score"] = numbers["score"][: arm.draws]
    return numbers | {"status": store.status_of(arm.levels, replicate)[: arm.draws]}


def _aucs(numbers: Mapping[str, Any]) -> np.ndarray:
    """AUC of every draw and subgroup."""
    return np.asarray(auc(numbers["score"], numbers["label"]))
