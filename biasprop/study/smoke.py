"""Small numbers for any study: the same factors, levels and estimands on one structure that runs in seconds.

Only the tables of the study are rewritten; nothing that runs later distinguishes a small study from another.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from biasprop.estimands import ESTIMANDS
from biasprop.interfaces import HasSites
from biasprop.nn.views import SYMMETRIES, Augmentation
from biasprop.statistics.estimand import references
from biasprop.study import design
from biasprop.study.location import Location, get_at
from biasprop.study.sample import read_lever

if TYPE_CHECKING:
    from biasprop.study.factors import Level
    from biasprop.study.study import Study

STRUCTURE: dict[str, int] = {
    "size": 16,
    "patch": 8,
    "width": 16,
    "depth": 1,
    "heads": 2,
    "token_hidden": 16,
    "expansion": 2,
    "decoder_width": 16,
    "decoder_depth": 1,
    "projection": 16,
    "batch": 16,
}
"""Name of a whole-number key, in any component -> its small value: one structure for all studies, but for batches that
sites have to divide (:func:`_small_batch`)."""

MAX_VALUES: dict[str, int] = {
    "cohort": 256,
    "steps": 50,
    "labels": 32,
    "draws": 2,
    "test": 200,
    "selection": 32,
    "calibration": 120,
    "pretext": 64,
}
"""Name of a whole-number key -> its largest value."""

REPLICATES = 2

RUNGS: dict[str, int] = {"labels": 16, "cohort": 128, "steps": 25, "draws": 1, "size": 16, "width": 8, "depth": 1}
"""Name of a key that a factor varies -> distance between its small values, which start at one distance from 0."""

Settings = Mapping[Location, Any]
"""Key of the study -> value, of one level."""
Ladder = Mapping[tuple[Location, int], int]
"""(key, number) -> small number."""
Sizes = dict[str, int]
"""Name of a whole-number key -> its small value."""


def small_table(table: Mapping[str, Any], study: Study, plain: Study) -> dict[str, Any]:
    """The tables of a valid study with small numbers.

    Args:
        table: the study's tables without ``--set``.
        study: the study with ``--set``, which gives the base condition.
        plain: the study without ``--set``, which gives the levels.

    Returns:
        New tables. Numbers that a factor varies stay distinct and in order, and estimands name the new levels.
    """
    structure = STRUCTURE | {"batch": _small_batch(study)}
    base = {name: _small(value, structure, (name,)) for name, value in study.settable_tables().items()}
    small = copy.deepcopy(dict(table)) | base
    small["replicates"] = min(REPLICATES, table["replicates"])
    small.pop("scale", None)
    renamed = {
        name: _make_levels_small(factor["levels"], _settings(plain, plain.levels(name)), structure)
        for name, factor in small["factors"].items()
    }
    for name, lever in plain.sample.levers.items() if plain.sample else ():
        written = small["sample"]["levers"][name]
        if "levels" in written:
            _make_levels_small(written["levels"], _settings(plain, read_lever(lever).levels), structure)
        elif (key := written["key"].rpartition(".")[2]) in structure | MAX_VALUES:
            rung = RUNGS.get(key, (structure | MAX_VALUES)[key])
            written |= {"low": rung, "high": 2 * rung}
    for estimand in small["estimands"]:
        _rename_levels(estimand, renamed)
    return small


def _small_batch(study: Study) -> int:
    """Size of the batches of a small study: that of :data:`STRUCTURE`, or the next that the sites of every loop can
    divide equally, with 2 images each."""
    stages = [stage for cell in design.cells(study) for stage in cell.condition.stages()]
    loops = [(stage.pretraining.loop, len(stage.sites())) for stage in stages]
    parts = {loop.sites_per_round(sites) for loop, sites in loops if isinstance(loop, HasSites)}
    multiple = math.lcm(*parts)
    return multiple * -(-max(STRUCTURE["batch"], 2 * max(parts, default=1)) // multiple)


def _make_levels_small(written: list[Any], every: Sequence[Settings], structure: Sizes) -> dict[Any, Any]:
    """Replace the levels of a factor, or of a lever, by small ones, in place.

    Args:
        written: the levels as the study file has them.
        every: what each sets.
        structure: as :data:`STRUCTURE`.

    Returns:
        Number -> small number, of levels that are numbers.
    """
    ladder = _ladder(every, structure)
    renamed: dict[Any, Any] = {}
    for index, (level, settings) in enumerate(zip(written, every, strict=True)):
        new = {key: _small(value, structure, key, ladder) for key, value in settings.items()}
        if isinstance(level, dict) and "set" in level:
            keys = dict(zip(new, level["set"], strict=True))
            # A dumped model omits tables that are off, and nothing in them could be made small.
            level["set"] |= {keys[key]: value for key, value in new.items() if value != {}}
            continue
        (value,) = new.values()
        if isinstance(value, dict) and "kind" not in value and (isinstance(level, str) or not value):
            continue  # a preset by its name, which is the label and has no sizes; or a table that is off
        written[index] = value
        if isinstance(level, int | float) and not isinstance(level, bool):
            renamed[level] = value
    return renamed


def _settings(study: Study, levels: Sequence[Level]) -> list[Settings]:
    """What each level sets, with defaults filled in."""
    every = []
    for level in levels:
        dumped = study.with_levels({"": level}).tables()
        every.append({key: get_at(dumped, key) for key in level.settings})
    return every


def _small(value: Any, structure: Sizes, key: Location = (), ladder: Ladder = MappingProxyType({})) -> Any:
    """A value with every whole number in it made small, by the ladder where levels differ, else by its key's name."""
    name = str(key[-1]) if key else ""
    if isinstance(value, dict):
        stated = _stated_views(value) if name == "augmentation" else value
        return {child: _small(part, structure, (*key, child), ladder) for child, part in stated.items()}
    if isinstance(value, list):
        return [_small(part, structure) for part in value]
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return ladder.get((key, value), structure.get(name, min(value, MAX_VALUES.get(name, value))))


def _stated_views(augmentation: Mapping[str, Any]) -> dict[str, Any]:
    """An augmentation without flips and transpositions at their defaults, which a dump fills in: a table that states
    them is refused where the images have no such symmetry."""
    fields = Augmentation.model_fields
    return {n: value for n, value in augmentation.items() if n not in SYMMETRIES or value != fields[n].default}


def _ladder(every: Sequence[Settings], structure: Sizes) -> Ladder:
    """(key, number) -> small number, for every key of ``structure`` or :data:`MAX_VALUES` that levels set, or in which
    the tables that they set differ."""
    found: dict[Location, set[int]] = {}
    for settings in every:
        for key, value in settings.items():
            for place, number in _whole_numbers(value, key):
                found.setdefault(place, set()).add(number)
    itself = {key for settings in every for key in settings}
    ladder: dict[tuple[Location, int], int] = {}
    for key, values in found.items():
        name = str(key[-1])
        small = (structure | MAX_VALUES).get(name)
        if small is not None and (key in itself or len(values) > 1):
            rung = RUNGS.get(name, small)
            ladder |= {(key, value): rung * (step + 1) for step, value in enumerate(sorted(values))}
    return ladder


def _whole_numbers(value: Any, key: Location) -> Iterator[tuple[Location, int]]:
    """Whole numbers in a value and in the tables in it, each with its key."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _whole_numbers(child, (*key, name))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value


def _rename_levels(estimand: dict[str, Any], renamed: Mapping[str, Mapping[Any, Any]]) -> None:
    """Replace the levels that an estimand names by the small ones, in place."""
    contrasted = renamed.get(estimand.get("factor", ""), {})
    for field, what in references(ESTIMANDS[estimand["kind"]]).items():
        named = estimand.get(field)
        if what == "arm" and named:
            estimand[field] = {factor: renamed.get(factor, {}).get(level, level) for factor, level in named.items()}
        elif what == "level":
            several = isinstance(named, list | tuple)
            estimand[field] = [contrasted.get(x, x) for x in named] if several else contrasted.get(named, named)
