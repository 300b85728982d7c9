"""A valid study and what it was made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from biasprop.component import InputError, OneOf
from biasprop.estimands import ESTIMANDS
from biasprop.paths import MAX_NAME_BYTES, user_path
from biasprop.statistics.estimand import Estimand
from biasprop.study.atoms import by_subgroup
from biasprop.study.checks.estimands import MAX_ESTIMANDS
from biasprop.study.conditions import Conditions
from biasprop.study.digest import digest
from biasprop.study.factors import MAX_FACTORS, Factor, Level, read_factor, with_settings
from biasprop.study.location import Location, dotted
from biasprop.study.sample import SETTING, Sample, Setting, settings


@dataclass(frozen=True)
class Origin:
    """What a study was made from: all that :func:`biasprop.study.load.remake` needs to make it again."""

    name: str = "study.toml"
    """Path of the file."""
    text: str = ""
    """The TOML text."""
    set: tuple[str, ...] = ()
    """``KEY=VALUE`` overrides."""
    scale: str | None = None
    """Name of the table of overrides that was applied."""
    smoke: bool = False
    """Whether the numbers were made small."""
    replicates: int | None = None
    """Replicates given on the command line."""
    assigned: dict[str, Any] = field(default_factory=dict)
    """The overrides, parsed: dotted key -> value."""


class Study(Conditions):
    """A base condition, what is varied about it, and the estimands stated beforehand."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    """Short name of the study."""
    question: Annotated[str, Field(min_length=1, max_length=2_000)]
    """What it asks, in a sentence or two."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """Determines all random numbers; studies with the same seed share encoders."""
    replicates: Annotated[int, Field(ge=1, le=10_000)]
    """Independent repetitions of every arm."""
    factors: Annotated[dict[str, Factor], Field(min_length=1, max_length=MAX_FACTORS)]
    """What is varied: name of the cube's dim -> levels."""
    estimands: Annotated[
        tuple[Annotated[Estimand, OneOf(ESTIMANDS, bare=False)], ...], Field(min_length=1, max_length=MAX_ESTIMANDS)
    ]
    """What the study measures, stated before it runs; exactly one is primary, none if the study is exploratory."""
    exploratory: bool = False
    """Whether the study tests nothing, for instance because its data had been seen before its estimands were stated: no
    estimand is primary or secondary then."""
    sample: Sample | None = Field(default=None, exclude_if=lambda sample: sample is None)
    """Levers of the base condition that differ between replicates; left out, all replicates have one."""
    scale: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Named tables of overrides for larger machines, nested as the study is."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    def _repr_html_(self) -> str:
        """Title, question, design and estimands, for a notebook."""
        from biasprop.html.templates import fragment
        from biasprop.study.html_blocks import study_blocks

        return fragment(study_blocks(self))

    @property
    def origin(self) -> Origin:
        """What the study was made from."""
        return self._origin

    @property
    def stem(self) -> str:
        """Name of the study file without its ending."""
        return Path(self.origin.name).stem

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that name what the study's numbers depend on, see :mod:`biasprop.study.digest`."""
        origin = self.origin
        return digest(
            self.base_table(),
            seed=self.seed,
            subgroups=self.subgroups,
            factors=tuple(self.factors),
            settings=[self.content(setting.level) for setting in self.settings()],
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
        return read_factor(self.factors[factor]).levels

    @property
    def label_budget(self) -> str | None:
        """The factor that varies the label budget by its ``key``; None if there is none."""
        keys = {name: getattr(factor, "key", None) for name, factor in self.factors.items()}
        return next((name for name, key in keys.items() if key == "finetuning.labels"), None)

    def settings(self) -> list[Setting]:
        """The settings of the sample, of which the first ones are run if there are fewer replicates; empty without a
        sample."""
        return settings(self.sample, self.base_table()) if self.sample else []

    def sampled(self) -> list[dict[str, Level]]:
        """What :meth:`with_levels` puts into the base condition of each replicate: its setting, as a level beside
        those of the factors; one entry, nothing, for all replicates without a sample."""
        return [{SETTING: setting.level} for setting in self.settings()[: self.replicates]] or [{}]

    def store(self, out: str | Path = "results") -> Path:
        """Folder of the study's cube.

        Args:
            out: folder of stores; ``~`` is the home folder.

        Raises:
            InputError: the name of the study file is too long for that of a folder.
        """
        folder = user_path(out) / f"{self.stem}-{self.digest[:12]}"
        if (excess := len(os.fsencode(folder.name)) - MAX_NAME_BYTES) > 0:
            raise InputError(
                f"{self.origin.name}: the name of the study's store would be {excess} bytes longer than the "
                f"{MAX_NAME_BYTES} that a folder's name can have; give the study file a shorter name"
            )
        return folder

    def base_table(self) -> dict[str, Any]:
        """The tables of the base condition, with defaults filled in; see :meth:`Conditions.tables`."""
        return self.tables()

    def content(self, level: Level) -> dict[Location, Any]:
        """What a level sets, and what is computed from it in place of a value of the base condition, such as the digest
        of another table."""
        base = self.computed()
        own = self.with_levels({"": level}).computed() if base else {}
        return level.settings | {key: value for key, value in own.items() if base.get(key) != value}

    def with_levels(self, levels: Mapping[str, Level]) -> Conditions:
        """The base condition with one level of some factors put in.

        That components fit each other is checked when the study is loaded, for every combination of levels of all
        factors; with some of them, which no arm has, they need not.

        Args:
            levels: factor -> level.

        Raises:
            InputError: a key cannot have the value of a level.
        """
        conditions, problems = by_subgroup(with_settings(self.settable_tables(), levels.values())).validated(Conditions)
        if conditions is None:
            where = ", ".join(f"{name} = {level.label!r}" for name, level in levels.items())
            raise InputError([f"{self.origin.name}: with {where}: {dotted(p.location)}: {p.what}" for p in problems])
        return conditions
