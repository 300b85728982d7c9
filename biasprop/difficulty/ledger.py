"""The difficulty ledger of a study: made or found, kept with its store, and matched to its arms.

Rows that need no training take seconds and come with every run; the row of the learner takes minutes and is made when
it is asked for. Both are kept in the user's caches as well, under everything they depend on, so that studies of one
generator share them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from biasprop import NUMERICS
from biasprop.statistics.difficulty import Ledger
from biasprop.store import json_cache
from biasprop.study import design
from biasprop.study.factors import Label

if TYPE_CHECKING:
    from biasprop.nn.optimisation import Schedule
    from biasprop.statistics.decomposition import Place
    from biasprop.study.conditions import PretrainingCondition
    from biasprop.study.study import Study

SHIFTED_TEST_NOTE = (
    "This study's test is shifted (evaluation.shifts) and the images of the ledger are not, so that no row holds for "
    "it: where a marker follows the disease, not even the upper one."
)
"""What is said of a ledger beside tests that are not of its images."""

SOURCES = (
    "difficulty/observers.py",
    "difficulty/learner.py",
    "generators/dermoscopy.py",
    "generators/lesion_density.py",
    "generators/linear_observer.py",
    "statistics/areas.py",
    "statistics/difficulty.py",
)
"""Files whose change makes a kept ledger stale."""


class Entry(NamedTuple):
    """The ledger of one generator and encoder of a study."""

    condition: PretrainingCondition
    where: dict[str, list[Label]]
    """Factor -> levels that have this generator and encoder, for every factor not all of whose levels have."""
    ledger: Ledger
    note: str = ""
    """:data:`SHIFTED_TEST_NOTE`, where some arm is judged by a shifted test."""


def load_or_compute(
    study: Study,
    store: Path | None = None,
    *,
    learn: bool = False,
    schedule: Schedule | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Entry]:
    """The ledger of every generator of a study: as its store has it, else from the user's caches, else made.

    Args:
        study: whose generators.
        store: folder of its cube.
        learn: also train a network from scratch, which takes minutes; else only one that was trained before counts.
        schedule: of that training, if not the usual one.
        tell: is told what takes long.
    """
    from biasprop.store.ledger import read

    stored = read(store) if store else None
    found, shifted = [], {one.key for one in _arms(study) if one.shifts}
    for condition, where in _conditions(study):
        key = _key(condition)
        own = next((each for each in (stored or {}).get("entries", []) if each["key"] == key), None)
        ledger = Ledger.from_json(own) if own else None
        if ledger is None or (learn and not any(row.kind == "learner" for row in ledger.rows)):
            ledger = _observed(condition) + _learned(condition, learn, schedule, tell)
        found.append(Entry(condition, where, ledger, SHIFTED_TEST_NOTE if key in shifted else ""))
    return found


def save(store: Path, entries: Sequence[Entry]) -> None:
    """Store the ledger with the cube; one that is there and the same is left alone."""
    from biasprop.store.ledger import read, write

    told = as_json(entries)
    if read(store) != told:
        write(store, told)


def as_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """``entries``: a list of {key, where, generator, rows, comparisons}, with NaN as null, and a note where due."""
    return {
        "entries": [
            {"key": _key(one.condition), "where": one.where, "generator": one.condition.generator.kind}
            | one.ledger.to_json()
            | ({"note": one.note} if one.note else {})
            for one in entries
        ]
    }


def places(study: Study, entries: Sequence[Entry]) -> list[Place]:
    """The arms of pretrained encoders, each with the arms its gap is held against.

    Arms are matched by their conditions, whatever the factors are called: after pretraining on equal shares all else is
    the same; plenty is full fine-tuning from scratch of the same encoder on the largest budget of equal shares, judged
    by the same test. Of shifted tests no ledger knows anything.
    """
    from biasprop.statistics.decomposition import Place

    ledgers = {_key(entry.condition): entry.ledger for entry in entries}
    arms = _arms(study)
    even = {(one.rest, one.told): one.levels for one in reversed(arms) if one.even}
    plenty = {(one.key, one.shifts): one.levels for one in sorted(arms, key=lambda one: one.labels) if one.plenty}
    unknown = Ledger((), ())
    return [
        Place(
            one.levels,
            even.get((one.rest, one.told)),
            plenty.get((one.key, one.shifts)),
            unknown if one.shifts else ledgers[one.key],
        )
        for one in arms
        if one.trains
    ]


class _ArmKey(NamedTuple):
    """What an arm is matched by."""

    levels: dict[str, Label]
    key: str
    """Generator and encoder."""
    rest: str
    """Its pretraining without the shares."""
    told: str
    """Its fine-tuning."""
    labels: int
    trains: bool
    even: bool
    """Pretrained on equal shares."""
    plenty: bool
    """Fine-tuned in full from scratch, on equal shares."""
    shifts: str
    """What the test does to subgroups; empty: nothing."""


def _arms(study: Study) -> list[_ArmKey]:
    found = []
    for cell in design.cells(study):
        condition, key = cell.condition, _key(cell.condition)
        trains = condition.pretraining.objective.trains
        rest = condition.model_dump_json(exclude={"pretraining": {"shares"}})
        even = condition.pretraining.sees_subjects and _equal(condition.pretraining.shares, condition)
        for arm in cell.arms if cell.replicate == 0 else ():
            finetuning = arm.condition.finetuning
            learner = finetuning.protocol.adapts_all and not finetuning.mitigation.needs_groups
            plenty = not trains and learner and _equal(finetuning.shares, condition)
            told, labels = arm.condition.model_dump_json(), int(finetuning.labels)
            shifts = arm.condition.evaluation.shifts
            moved = arm.condition.evaluation.model_dump_json(include={"shifts"}) if shifts else ""
            found.append(_ArmKey(arm.levels, key, rest, told, labels, trains, even, plenty, moved))
    return found


def _equal(shares: dict[str, float], condition: PretrainingCondition) -> bool:
    names = condition.generator.subgroups
    return all(abs(shares.get(name, 0.0) - 1 / len(names)) < 1e-6 for name in names)


def _conditions(study: Study) -> list[tuple[PretrainingCondition, dict[str, list[Label]]]]:
    """Every pair of generator and encoder, and where it holds."""
    grouped: dict[str, tuple[PretrainingCondition, dict[str, list[Label]]]] = {}
    for cell in design.cells(study):
        _, where = grouped.setdefault(_key(cell.condition), (cell.condition, {name: [] for name in study.factors}))
        for arm in cell.arms if cell.replicate == 0 else ():
            for name, label in arm.levels.items():
                if label not in where[name]:
                    where[name].append(label)
    everything = {name: len(study.levels(name)) for name in study.factors}
    return [
        (condition, {name: labels for name, labels in where.items() if len(labels) < everything[name]})
        for condition, where in grouped.values()
    ]


def _observed(condition: PretrainingCondition) -> Ledger:
    from biasprop.hardware import device

    def compute() -> dict[str, Any]:
        from biasprop.difficulty.observers import observed

        device.prepare()
        return observed(condition).to_json()

    return Ledger.from_json(json_cache.cached(device.cache_folder(), f"ledger-{_digest(condition.generator)}", compute))


def _learned(
    condition: PretrainingCondition, learn: bool, schedule: Schedule | None, tell: Callable[[str], None]
) -> Ledger:
    from biasprop.difficulty.learner import SCHEDULE, learned
    from biasprop.difficulty.observers import modelled
    from biasprop.hardware import device

    recipe = schedule or SCHEDULE
    key = f"learner-{_digest(condition.generator, condition.encoder, recipe)}"
    if not learn:
        told = json_cache.read(device.cache_folder() / "cache" / f"{key}.json", key)
        return Ledger.from_json(told) if told else Ledger((), ())

    def show(step: int, steps: int) -> None:
        if step % (10 * max(steps // 100, 1)) == 0:
            tell(
                f"learner: {condition.encoder.kind} from scratch on {condition.generator.kind}, step {step} of {steps}"
            )

    def compute() -> dict[str, Any]:
        device.prepare()
        return (modelled(condition) + learned(condition, recipe, show)).to_json()

    return Ledger.from_json(json_cache.cached(device.cache_folder(), key, compute))


def _key(condition: PretrainingCondition) -> str:
    """Names all that the ledger of a generator and encoder depends on."""
    return _digest(condition.generator, condition.encoder)


def _digest(generator: Any, *more: Any) -> str:
    """32 hexadecimal digits of definitions, the code that makes rows and the numerics."""
    # Subgroups keep their order: it is the order of rows.
    told = [each.model_dump(mode="json") for each in (generator, *more)]
    text = json.dumps([told, list(generator.subgroups), NUMERICS, _code()], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@functools.cache
def _code() -> str:
    root = Path(__file__).parents[1]
    return hashlib.blake2b(b"".join((root / name).read_bytes() for name in SOURCES), digest_size=16).hexdigest()
