"""Rounds of the search: study files with a factor ``setting``, checked, and what each setting is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from biasprop.study.conditions import Conditions
    from biasprop.study.factors import Level
    from biasprop.study.problems import Problem
    from biasprop.study.study import Study

HERE = Path(__file__).parent

SEEDS = {
    990003: "search",
    990005: "confirmation",
    990007: "matching",
    990011: "search for chest films",
    990012: "search for chest CT",
    990013: "search for brain MRI",
    990014: "search for federated training",
}
"""Seeds of rounds and what they are for; no study has one of them. A round of matching finds the setting at which two
recipes are equally good; it chooses no recipe, so its settings do not count as tried. The search for each further kind
of images has a limit of its own."""

MATCHING, FOR = "matching", "search for "
"""Use of rounds of matching, and how the uses of searches for further kinds of images begin."""

CONFIRMATION = 990005
"""Seed of the round that is run once, after the recipe is frozen, and is therefore no longer blind."""

SETTING = "setting"
"""The factor whose levels are tried."""

OTHERS = ("protocol", "labels")
"""Factors that a round may have beside it."""

PRETRAINED, SCRATCH = "pretrained", "scratch"
"""Settings that a confirmation has: the first one, and the one that all others are compared with."""

TABLES = ("encoder", "pretraining", "finetuning")
"""Tables whose keys a setting may set."""


class Setting(NamedTuple):
    """What is tried, as the table counts it."""

    name: str
    encoder: str
    objective: str
    """Both by kind."""
    content: str
    """Hash of everything that it sets, defaults filled in: equal in two rounds that try the same."""


def load(folder: Path = HERE, names: Sequence[str] = (), smoke: bool = False) -> list[Study]:
    """Read the rounds of a folder, in the order of their names.

    Args:
        folder: of the study files.
        names: of rounds; by default all.
        smoke: with small numbers, to try a round.

    Raises:
        InputError: there is none, none of that name, or one is not a round; lists every problem.
    """
    from biasprop.component import InputError, suggestion
    from biasprop.study.load import load_study

    files = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    unknown = [
        f"{folder}: there is no round {name!r}; {suggestion(name, files)}" for name in names if name not in files
    ]
    if unknown or not files:
        raise InputError(unknown or f"{folder}: there is no round; see paper/tuning/__init__.py")
    found, problems = [], []
    for name, file in files.items():
        if names and name not in names:
            continue
        try:
            found.append(load_study(file, smoke=smoke))
            problems += _messages(found[-1])
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def settings(study: Study) -> list[Setting]:
    """The settings of a round, in the order of its file."""
    return [_setting(study, level) for level in study.levels(SETTING)]


def _setting(study: Study, level: Level) -> Setting:
    from biasprop.study.factors import content

    conditions: Conditions = study.with_levels({SETTING: level})
    tables = {name: table for name, table in conditions.tables().items() if name in TABLES}
    # What the other factors vary belongs to no setting.
    varied = {"labels", *(name for name in OTHERS if name in study.factors)}
    tables["finetuning"] = {name: value for name, value in tables["finetuning"].items() if name not in varied}
    digest = hashlib.blake2b(content(tables).encode(), digest_size=8).hexdigest()
    return Setting(str(level.label), conditions.encoder.kind, conditions.pretraining.objective.kind, digest)


def _messages(study: Study) -> list[str]:
    """What is wrong with a round, as ``file:line: key: what``."""
    from biasprop.study.messages import messages
    from biasprop.study.overrides import with_options
    from biasprop.study.source import parse

    source = parse(study.origin.text, study.origin.name)
    return messages(list(_problems(study)), source, with_options(source.table, (), None, source.table))


def _problems(study: Study) -> Iterator[Problem]:
    from biasprop.study.location import dotted
    from biasprop.study.problems import Problem

    if study.seed not in SEEDS:
        allowed = ", ".join(f"{seed} ({use})" for seed, use in SEEDS.items())
        yield Problem(("seed",), f"is no seed of the search; allowed: {allowed}")
    for name in study.factors:
        if name not in (SETTING, *OTHERS):
            yield Problem(("factors", name), f"is no factor of a round; allowed: {', '.join((SETTING, *OTHERS))}")
    if SETTING not in study.factors:
        yield Problem(("factors", SETTING), "is missing; its levels are what the round tries, the reference first")
        return
    for index, level in enumerate(study.levels(SETTING)):
        for key in level.settings:
            if key[0] not in TABLES or "shares" in key:
                what = f"{dotted(key)} is no setting; allowed: keys of {', '.join(TABLES)} other than shares"
                yield Problem(("factors", SETTING, "levels", index), what)
    if study.seed == CONFIRMATION:
        yield from _problems_of_confirmation(study)


def _problems_of_confirmation(study: Study) -> Iterator[Problem]:
    from biasprop.study.problems import Problem

    levels = {str(level.label): level for level in study.levels(SETTING)}
    if next(iter(levels)) != PRETRAINED:
        yield Problem(("factors", SETTING, "levels", 0), f"is not {PRETRAINED!r}, the first setting of a confirmation")
    if SCRATCH not in levels:
        yield Problem(("factors", SETTING, "levels"), f"lack {SCRATCH!r}, with which a confirmation compares")
    elif study.with_levels({SETTING: levels[SCRATCH]}).pretraining.objective.trains:
        index = list(levels).index(SCRATCH)
        yield Problem(
            ("factors", SETTING, "levels", index), "is pretrained; its pretraining.objective has to be scratch"
        )
    if "labels" not in study.factors:
        yield Problem(("factors", "labels"), "is missing; a confirmation compares learning curves")
