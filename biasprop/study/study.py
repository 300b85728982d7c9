"""Study files: TOML in, a validated :class:`Study` out, or every problem at once."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError

from biasprop.component import Definition, InputError, OneOf
from biasprop.encoders import ENCODERS
from biasprop.generators import GENERATORS
from biasprop.nn.views import Augmentation
from biasprop.statistics.estimand import Estimand
from biasprop.study import consistency
from biasprop.study.conditions import Evaluation, Finetuning, FinetuningCondition, Pretraining, PretrainingCondition
from biasprop.study.digest import digest
from biasprop.study.factors import Factor, Level, levels
from biasprop.study.problems import (
    MAX_PROBLEMS,
    Problem,
    dotted,
    of_validation,
    of_values,
    printable,
    suggestion,
    with_tuples,
)
from biasprop.study.smoke import smoke as small
from biasprop.study.source import Location, Source, merge, override, place, read


class Conditions(Definition):
    """The part of a study that makes one condition: what a level of a factor may move."""

    generator: Annotated[Any, OneOf(GENERATORS)]
    """Who is imaged, and how."""
    encoder: Annotated[Any, OneOf(ENCODERS)]
    """What learns."""
    pretraining: Pretraining
    """From whom the encoder learns, and by which objective."""
    finetuning: Finetuning
    """Label budget, its demographics, and the protocol."""
    evaluation: Evaluation = Evaluation()
    """Sizes of the sets that select, calibrate and test."""

    def pretraining_condition(self) -> PretrainingCondition:
        """What an encoder depends on."""
        pretraining = self._viewed(self.pretraining)
        return PretrainingCondition(generator=self.generator, encoder=self.encoder, pretraining=pretraining)

    def finetuning_condition(self) -> FinetuningCondition:
        """What an arm depends on beyond its encoder."""
        finetuning = self.finetuning
        if finetuning.skew_matched:
            update = {"shares": self.pretraining.shares, "skew_matched": False}
            finetuning = finetuning.model_copy(update=update)
        return FinetuningCondition(finetuning=self._viewed(finetuning), evaluation=self.evaluation)

    def _viewed(self, stage: Any) -> Any:
        """A stage whose views are as the generator's difficulty prescribes."""
        prescribed = dict(self.generator.difficulty.views)
        return _with_views(stage, prescribed) if prescribed else stage


def _with_views(part: Any, prescribed: dict[str, float]) -> Any:
    if isinstance(part, Augmentation):
        return part.model_copy(update=prescribed)
    if not isinstance(part, Definition):
        return part
    return part.model_copy(
        update={name: _with_views(getattr(part, name), prescribed) for name in type(part).model_fields}
    )


@dataclass(frozen=True)
class Origin:
    """How a study came about: enough to make it again, with :func:`remake`."""

    name: str = "study.toml"
    """Path of the file."""
    text: str = ""
    """The TOML text."""
    set: tuple[str, ...] = ()
    """``KEY=VALUE`` overrides."""
    scale: str | None = None
    """Name of the table of overrides that was applied."""
    smoke: bool = False
    """Whether its numbers were made small."""
    replicates: int | None = None
    """Replicates asked for on the command line."""
    assigned: dict[str, Any] = field(default_factory=dict)
    """The overrides, parsed: dotted key -> value."""


class Study(Conditions):
    """What we want to know: a base condition, what is varied about it, and the estimands stated beforehand."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    """Short name of the study."""
    question: Annotated[str, Field(min_length=1, max_length=2_000)]
    """What it asks, in a sentence or two."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """Owns all randomness; studies with one seed share encoders."""
    replicates: Annotated[int, Field(ge=1, le=10_000)]
    """Independent repetitions of every arm."""
    factors: Annotated[dict[str, Factor], Field(min_length=1, max_length=consistency.MAX_FACTORS)]
    """What is varied: name of the cube's dim -> levels."""
    estimands: Annotated[tuple[Estimand, ...], Field(min_length=1, max_length=consistency.MAX_ESTIMANDS)]
    """What the study claims to measure, stated before it runs; exactly one is primary."""
    scale: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Named tables of overrides for larger machines, nested as the study is."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def origin(self) -> Origin:
        """How the study came about."""
        return self._origin

    @property
    def stem(self) -> str:
        """Name of the study file without its ending."""
        return Path(self.origin.name).stem

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that name what the study's numbers depend on, see :mod:`biasprop.study.digest`."""
        base = {name: getattr(self, name).model_dump(mode="json") for name in Conditions.model_fields}
        origin = self.origin
        return digest(
            base,
            seed=self.seed,
            subgroups=self.subgroups,
            factors=tuple(self.factors),
            smoke=origin.smoke,
            scale=origin.scale,
            assigned=origin.assigned,
        )

    @property
    def subgroups(self) -> tuple[str, ...]:
        """Names of the subgroups, in the study's order."""
        return tuple(self.generator.subgroups)

    def levels(self, factor: str) -> list[Level]:
        """The levels of one factor, in the study's order."""
        return levels(self.factors[factor])[0]

    def store(self, out: str | Path = "results") -> Path:
        """Where the study's cube lies."""
        return Path(out) / f"{self.stem}-{self.digest[:12]}"

    def with_levels(self, chosen: Mapping[str, Level]) -> Conditions:
        """The base condition with one level of some factors put in.

        Raises:
            InputError: the levels do not go together.
        """
        table = {name: getattr(self, name).model_dump(mode="json") for name in Conditions.model_fields}
        conditions, problems = _conditions(_moved(table, chosen.values()))
        if conditions is None or problems:
            where = ", ".join(f"{name} = {level.label!r}" for name, level in chosen.items())
            raise InputError([f"{self.origin.name}: with {where}: {dotted(p.location)}: {p.what}" for p in problems])
        return conditions


def load_study(
    path: str | Path,
    set: Sequence[str] = (),
    scale: str | None = None,
    smoke: bool = False,
    replicates: int | None = None,
) -> Study:
    """Read, override and validate a study file.

    Args:
        path: the TOML file.
        set: overrides ``KEY=VALUE``, applied last; the value is TOML, or text where it is no TOML.
        scale: name of one of the study's ``[scale.NAME]`` tables, applied first.
        smoke: make the numbers small, keeping factors, levels and estimands.
        replicates: instead of the study's own number.

    Raises:
        InputError: the study is not valid; all problems, each with its line and what would be right.
    """
    return _make(read(path), tuple(set), scale, smoke, replicates)


def remake(origin: Origin) -> Study:
    """The study that came about this way, without its file (for worker processes)."""
    from biasprop.study.source import parse

    source = parse(origin.text, origin.name)
    return _make(source, origin.set, origin.scale, origin.smoke, origin.replicates)


def schema() -> dict[str, Any]:
    """The JSON schema of study files, from the same definitions that validate them."""
    made = Study.model_json_schema()
    # Editors read a `$schema` key; here it only says which dialect this is.
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


@dataclass
class _Places:
    """Says where a key got its value: a line of the file, a scale's table or an option of the command line."""

    source: Source
    scale: str | None = None
    options: list[tuple[Location, str]] = field(default_factory=list)

    def render(self, problems: Sequence[Problem]) -> list[str]:
        lines = [(self._where(p.location), f"{dotted(p.location)}: {p.what}") for p in problems]
        ordered = sorted(dict.fromkeys(lines), key=lambda pair: pair[0])
        found = [printable(f"{where}: {what.removeprefix(': ')}") for (_, where), what in ordered]
        return found[:MAX_PROBLEMS] + [f"{self.source.name}: and {len(found) - MAX_PROBLEMS} more problems"] * (
            len(found) > MAX_PROBLEMS
        )

    def _where(self, location: Location) -> tuple[int, str]:
        for path, option in reversed(self.options):
            if location[: len(path)] == path or (path[: len(location)] == location and self._is_text(location)):
                return 0, option
        scaled: Location = ("scale", self.scale or "", *location)
        line = self.source.line(scaled if scaled in self.source.lines else location)
        return line, f"{self.source.name}:{line}"

    def _is_text(self, location: Location) -> bool:
        """Whether the file has a bare string here, of which an option then made a table."""
        here: Any = self.source.table
        for part in location:
            here = here.get(part) if isinstance(here, dict) else None
        return isinstance(here, str)


def _make(
    source: Source, assignments: tuple[str, ...], scale: str | None, smoke: bool, replicates: int | None
) -> Study:
    places = _Places(source, scale)
    table = copy.deepcopy(source.table)
    if scale is not None:
        table = _scaled(source, scale)
    problems: list[str] = []
    assigned: dict[str, Any] = {}
    scaled = copy.deepcopy(table)
    for assignment in assignments:
        try:
            path, value = override(table, assignment)
        except InputError as error:
            problems += error.problems
            continue
        assigned[dotted(path)] = value
        places.options.append((path, f"--set {assignment}"[:200]))
        problems += _without_effect(assignment, path, table)
    if replicates is not None:
        table["replicates"] = replicates
        places.options.append((("replicates",), f"--replicates {replicates}"))
    study, found = _validated(table)
    if problems:
        raise InputError(problems + places.render(found))
    if not found and scale is None:
        found = _scale_problems(source)
    if study is not None and not found and smoke:
        # Levels come from the file, and what --set says is said again of what was made small, so that it stands.
        plain = _validated(scaled)[0] if assigned else study
        base = study.model_dump(mode="json", include=set(Conditions.model_fields))
        table = small(base, scaled, _filled(plain or study))
        for assignment in assignments:
            override(table, assignment)
        if replicates is not None:
            table["replicates"] = replicates
        study, found = _validated(table)
    if study is None or found:
        raise InputError(places.render(found))
    study._origin = Origin(source.name, source.text, assignments, scale, smoke, replicates, assigned)
    return study


def _scaled(source: Source, scale: str) -> dict[str, Any]:
    scales = source.table.get("scale")
    known = scales if isinstance(scales, dict) else {}
    if not isinstance(known.get(scale), dict):
        raise InputError(f"--scale {scale}: {source.name} has no table [scale.{scale}]; {suggestion(scale, known)}")
    return merge(source.table, known[scale])


def _scale_problems(source: Source) -> list[Problem]:
    """What would be wrong under each of the study's scales, so that it is found long before it is used."""
    problems: list[Problem] = []
    for name, over in source.table.get("scale", {}).items():
        _, found = _validated(merge(source.table, over))
        problems += [problem.below(("scale", name)) for problem in found]
    return problems


def _without_effect(assignment: str, path: Location, table: dict[str, Any]) -> list[str]:
    for name, factor in consistency.factor_tables(table).items():
        found, _ = levels(factor)
        moved = [p for level in found for p in level.moves]
        if found and all(any(path[: len(p)] == p for p in level.moves) for level in found) and path in moved:
            return [
                f"--set {assignment}: has no effect, because every level of the factor {name} sets {dotted(path)}; "
                f"choose levels with --only {name}=LEVEL or change them with --set factors.{name}.levels=[...]"
            ]
    return []


def _validated(table: dict[str, Any]) -> tuple[Study | None, list[Problem]]:
    """The study, if it is valid, and what is wrong with it."""
    problems = of_values(table)
    study = None
    try:
        study = Study.model_validate(with_tuples(table))
    except ValidationError as error:
        known = {problem.location for problem in problems}
        problems += [p for p in of_validation(error, Study, table) if p.location not in known]
    problems += consistency.of_factors(table, Conditions)
    problems += consistency.of_estimands(table)
    if grid := consistency.of_grid(table):
        return None, [*problems, grid]
    base = {name: table[name] for name in Conditions.model_fields if name in table}
    conditions, _ = _conditions(base)
    if conditions is not None:
        problems += consistency.of_conditions(conditions)
        problems += _level_problems(base, table, problems)
    if study is not None and not problems:
        problems += _combination_problems(study)
    return (study if not problems else None), list(dict.fromkeys(problems))


def _conditions(table: dict[str, Any]) -> tuple[Conditions | None, list[Problem]]:
    try:
        conditions = Conditions.model_validate(with_tuples(table))
    except ValidationError as error:
        return None, of_validation(error, Conditions, table)
    return conditions, consistency.of_conditions(conditions)


def _moved(base: dict[str, Any], chosen: Any) -> dict[str, Any]:
    table = copy.deepcopy(base)
    for level in chosen:
        for path, value in level.moves.items():
            place(table, path, value)
    return table


def _level_problems(base: dict[str, Any], table: dict[str, Any], known: list[Problem]) -> list[Problem]:
    """What is wrong once a level is put into the base condition, told at the level."""
    problems: list[Problem] = []
    for name, factor in consistency.factor_tables(table).items():
        found, unread = levels(factor)
        if unread or any(p.location[:2] == ("factors", name) for p in known):
            continue
        for index, level in enumerate(found):
            at: Location = ("factors", name, "levels", index)
            try:
                moved = _moved(base, [level])
            except KeyError as error:
                problems.append(Problem(at, error.args[0]))
                continue
            for problem in _conditions(moved)[1]:
                under = next((p for p in level.moves if problem.location[: len(p)] == p), None)
                if under is not None:
                    problems.append(problem.below((*at, *level.places[under]), len(under)))
                elif all(problem.location != p.location for p in known):
                    problems.append(Problem(at, f"with this level, {dotted(problem.location)}: {problem.what}"))
    return problems


def _combination_problems(study: Study) -> list[Problem]:
    """What is wrong with levels of several factors together."""
    problems: list[Problem] = []
    seen: list[Conditions] = []
    for chosen in consistency.combinations({name: study.levels(name) for name in study.factors}):
        try:
            seen.append(study.with_levels(chosen))
            problems += consistency.of_budget(seen[-1], chosen)
        except InputError as error:
            problems += [Problem(("factors",), line.partition(": ")[2]) for line in error.problems]
    return problems or consistency.of_dims(seen)


def _filled(study: Study) -> dict[str, list[dict[Location, Any]]]:
    """Per factor and level, what each moved key is once defaults are filled in."""
    filled: dict[str, list[dict[Location, Any]]] = {}
    for name in study.factors:
        filled[name] = []
        for level in study.levels(name):
            dumped = study.with_levels({name: level}).model_dump(mode="json")
            filled[name].append({path: _at(dumped, path) for path in level.moves})
    return filled


def _at(table: Any, path: Location) -> Any:
    for part in path:
        table = table.get(part, {}) if isinstance(table, dict) else table[part]  # a dump leaves empty tables out
    return table


if __name__ == "__main__":
    target = Path(__file__).with_name("study.schema.json")
    target.write_text(json.dumps(schema(), indent=2) + "\n")
