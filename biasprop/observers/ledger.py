"""The difficulty ledger of a study: computed or loaded, stored with the cube, and matched to arms.

Rows without training take seconds and are part of every run; the learner's row takes minutes and is computed on
request. Both are also cached in the user's cache folder by a digest of everything they depend on, so that studies
with the same generator share them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from biasprop import NUMERICS
from biasprop.interfaces import has_people
from biasprop.statistics.difficulty import Ledger
from biasprop.store import json_cache
from biasprop.study import design
from biasprop.study.factors import Label

if TYPE_CHECKING:
    from biasprop.difficulty import InMode
    from biasprop.nn.optimisation import Schedule
    from biasprop.statistics.decomposition import Place
    from biasprop.study.conditions import PretrainingCondition
    from biasprop.study.design import Arm
    from biasprop.study.study import Study

SHIFTED_TEST_NOTE = (
    "The test set of this study is shifted (evaluation.shifts) and the images of the ledger are not, so no row applies "
    "to it: not even the upper one, if a marker is correlated with the disease."
)
"""Note beside a ledger whose images differ from those of the test set."""

SOURCE_FILES = (
    "observers/ideal.py",
    "observers/learner.py",
    "difficulty/*.py",
    "generators/*.py",
    "statistics/areas.py",
    "statistics/difficulty.py",
)
"""Patterns of files whose content is part of the digest of a cached ledger."""


class Entry(NamedTuple):
    """The ledger of one generator, encoder and disease of a study."""

    condition: PretrainingCondition
    where: dict[str, list[Label]]
    """Factor -> levels with this generator, encoder and disease; factors of which all levels have them are omitted."""
    ledger: Ledger
    note: str = ""
    """:data:`SHIFTED_TEST_NOTE` if some arm has a shifted test set, else empty."""
    disease: int | None = None
    """Index of the disease that arms predict, among the generator's; None for the first."""

    @property
    def title(self) -> str:
        """Generator and, if it has several, disease."""
        generator = self.condition.generator
        several = len(generator.diseases) > 1
        return f"{generator.kind}, {generator.diseases[self.disease or 0]}" if several else generator.kind


def load_or_compute(
    study: Study,
    store: Path | None = None,
    *,
    learn: bool = False,
    schedule: Schedule | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Entry]:
    """The ledger of every generator, encoder and disease of a study: from its store, else from the user's cache, else
    computed; empty for a study whose generator differs between replicates (``[sample]``), or is a table of people.

    Args:
        study: the study.
        store: folder of its cube, if there is one.
        learn: also train the learner, which takes minutes; otherwise its row is included only if it is cached.
        schedule: schedule of the learner, if not the default.
        report: called with progress messages.
    """
    from biasprop.store.ledger import read

    if not _has_ledger(study):
        return []
    stored = read(store) if store else None
    entries, notes = [], {arm.key: arm.note for arm in _arms(study) if arm.note}
    for condition, disease, where in _conditions(study):
        key = _key(condition, disease)
        entry = next((entry for entry in (stored or {}).get("entries", []) if entry["key"] == key), None)
        ledger = Ledger.from_json(entry) if entry else None
        if ledger is None or (learn and not any(row.kind == "learner" for row in ledger.rows)):
            ledger = _observer_rows(condition, disease)
            ledger += _learner_rows(condition, disease, learn, schedule, report)
        entries.append(Entry(condition, where, ledger, notes.get(key, ""), disease))
    return entries


def save(store: Path, entries: Sequence[Entry]) -> None:
    """Store the ledger with the cube, unless an equal one is already stored."""
    from biasprop.store.ledger import read, write

    document = as_json(entries)
    if read(store) != document:
        write(store, document)


def as_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """``entries``: a list of {key, where, generator, rows, comparisons}, with NaN as null, and a note and the name of
    a disease other than the first, if any."""
    return {
        "entries": [
            {
                "key": _key(entry.condition, entry.disease),
                "where": entry.where,
                "generator": entry.condition.generator.kind,
            }
            | entry.ledger.to_json()
            | ({"note": entry.note} if entry.note else {})
            | ({} if entry.disease is None else {"disease": entry.condition.generator.diseases[entry.disease]})
            for entry in entries
        ]
    }


def places(study: Study, entries: Sequence[Entry]) -> list[Place]:
    """The arms with pretraining, each with its reference arms for the decomposition of its gap.

    Arms are matched by their conditions, not by the names of factors. ``even`` differs only by pretraining on equal
    shares; ``plenty`` is full fine-tuning from scratch of the same encoder on the largest balanced label budget, with
    the same test set. Arms with a shifted test set have an empty ledger.
    """
    from biasprop.statistics.decomposition import Place

    if not _has_ledger(study):
        return []
    ledgers = {_key(entry.condition, entry.disease): entry.ledger for entry in entries}
    arms = _arms(study)
    even = {(arm.pretraining, arm.finetuning): arm.levels for arm in reversed(arms) if arm.even}
    plenty = {(arm.key, arm.test_set): arm.levels for arm in sorted(arms, key=lambda arm: arm.labels) if arm.plenty}
    empty = Ledger((), ())
    return [
        Place(
            arm.levels,
            even.get((arm.pretraining, arm.finetuning)),
            plenty.get((arm.key, arm.test_set)),
            empty if arm.note else ledgers[arm.key],
        )
        for arm in arms
        if arm.trains
    ]


def _has_ledger(study: Study) -> bool:
    """Whether a study has one generator for all replicates, or else no row would hold for an arm; and whether that
    simulates, or else nothing is known of how hard its images are."""
    return study.sample is None and not has_people(study.generator)


class _ArmKey(NamedTuple):
    """Properties by which an arm is matched; conditions are JSON text."""

    levels: dict[str, Label]
    key: str
    """Digest of generator, encoder and disease."""
    pretraining: str
    """The pretraining condition without shares."""
    finetuning: str
    """The arm's condition."""
    labels: int
    trains: bool
    even: bool
    """Pretrained on equal shares."""
    plenty: bool
    """Trained in full from scratch, on equal shares."""
    test_set: str
    """Shifts of the test set, and what is predicted of it."""
    note: str
    """Why the rows of the ledger do not apply to the test set; empty if they do."""


def _arms(study: Study) -> list[_ArmKey]:
    arms = []
    for cell in design.cells(study):
        condition = cell.condition
        trains = condition.pretraining.objective.trains
        pretraining = condition.model_dump_json(exclude={"pretraining": {"shares"}})
        cohorts = [stage for stage in condition.pretraining.sequence() if stage.sees_subjects]
        even = bool(cohorts) and all(_equal_shares(stage.shares, condition) for stage in cohorts)
        for arm in cell.arms if cell.replicate == 0 else ():
            finetuning = arm.condition.finetuning
            full = finetuning.protocol.adapts_all and not finetuning.mitigation.needs_groups
            plenty = not trains and full and _equal_shares(finetuning.shares, condition)
            document, labels = arm.condition.model_dump_json(), int(finetuning.labels)
            test_set = arm.condition.evaluation.model_dump_json(include={"shifts"}) + finetuning.model_dump_json(
                include={"task"}
            )
            key = _key(condition, _disease(arm, condition))
            note = SHIFTED_TEST_NOTE if arm.condition.evaluation.shifts else ""
            arms.append(_ArmKey(arm.levels, key, pretraining, document, labels, trains, even, plenty, test_set, note))
    return arms


def _equal_shares(shares: dict[str, float], condition: PretrainingCondition) -> bool:
    names = condition.generator.subgroups
    return all(abs(shares.get(name, 0.0) - 1 / len(names)) < 1e-6 for name in names)


def _disease(arm: Arm, condition: PretrainingCondition) -> int | None:
    """Index of the disease that an arm predicts; None for the generator's first."""
    return arm.condition.finetuning.task.disease_index(condition.generator.diseases)


def _conditions(study: Study) -> list[tuple[PretrainingCondition, int | None, dict[str, list[Label]]]]:
    """Every generator, encoder and disease, with the levels that have it (see :class:`Entry`)."""
    grouped: dict[str, tuple[PretrainingCondition, int | None, dict[str, list[Label]]]] = {}
    for cell in design.cells(study):
        for arm in cell.arms if cell.replicate == 0 else ():
            disease = _disease(arm, cell.condition)
            new = (cell.condition, disease, {name: [] for name in study.factors})
            *_, where = grouped.setdefault(_key(cell.condition, disease), new)
            for name, label in arm.levels.items():
                if label not in where[name]:
                    where[name].append(label)
    level_counts = {name: len(study.levels(name)) for name in study.factors}
    return [
        (condition, disease, {name: labels for name, labels in where.items() if len(labels) < level_counts[name]})
        for condition, disease, where in grouped.values()
    ]


def _observer_rows(condition: PretrainingCondition, disease: int | None) -> Ledger:
    from biasprop.hardware import device

    def compute() -> dict[str, Any]:
        from biasprop.observers.ideal import observer_rows

        with device.computing():
            return observer_rows(condition, disease).to_json()

    return Ledger.from_json(
        json_cache.cached(device.cache_folder(), f"ledger-{_digest(disease, condition.generator)}", compute)
    )


def _learner_rows(
    condition: PretrainingCondition,
    disease: int | None,
    learn: bool,
    schedule: Schedule | None,
    report: Callable[[str], None],
) -> Ledger:
    from biasprop.hardware import device
    from biasprop.observers.ideal import linear_model_rows
    from biasprop.observers.learner import SCHEDULE, learner_rows

    recipe = schedule or SCHEDULE
    key = f"learner-{_digest(disease, condition.generator, condition.encoder, recipe)}"
    if not learn:
        cached = json_cache.read(device.cache_folder() / "cache" / f"{key}.json", key)
        return Ledger.from_json(cached) if cached else Ledger((), ())

    def show(step: int, steps: int) -> None:
        if step % (10 * max(steps // 100, 1)) == 0:
            report(
                f"learner: {condition.encoder.kind} from scratch on {condition.generator.kind}, step {step} of {steps}"
            )

    def compute() -> dict[str, Any]:
        with device.computing():
            return (linear_model_rows(condition, disease) + learner_rows(condition, recipe, show, disease)).to_json()

    return Ledger.from_json(json_cache.cached(device.cache_folder(), key, compute))


def _key(condition: PretrainingCondition, disease: int | None) -> str:
    """Digest of everything that the ledger of a generator, encoder and disease depends on."""
    return _digest(disease, condition.generator, condition.encoder)


def _digest(disease: int | None, generator: InMode, *more: Any) -> str:
    """32 hexadecimal digits of definitions, source files (:data:`SOURCE_FILES`) and the numerics version, and of the
    disease if it is not the first."""
    # The order of subgroups is the order of rows.
    definitions = [definition.model_dump(mode="json") for definition in (generator, *more)]
    text = json.dumps([definitions, list(generator.subgroups), NUMERICS, _source_digest()], sort_keys=True)
    text += "" if disease is None else generator.diseases[disease]
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@functools.cache
def _source_digest() -> str:
    root = Path(__file__).parents[1]
    return hashlib.blake2b(
        b"".join(path.read_bytes() for pattern in SOURCE_FILES for path in sorted(root.glob(pattern))), digest_size=16
    ).hexdigest()
