"""From a study file to a :class:`Study`, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from biasprop.component import InputError
from biasprop.study.messages import messages
from biasprop.study.overrides import with_options, with_scale
from biasprop.study.smoke import small_table
from biasprop.study.source import parse, read_text
from biasprop.study.study import Origin, Study
from biasprop.study.validate import scale_problems, validate


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
        set: overrides ``KEY=VALUE``, applied last; a value that is not TOML is a string.
        scale: name of one of the study's ``[scale.NAME]`` tables, applied first.
        smoke: make the numbers small; factors, levels and estimands stay.
        replicates: instead of the study's number.

    Raises:
        InputError: the study is not valid; lists every problem with its line and what is allowed.
    """
    return remake(Origin(str(path), read_text(path), tuple(set), scale, smoke, replicates))


def remake(origin: Origin) -> Study:
    """Make a study from its text and options, without its file (as worker processes do).

    Raises:
        InputError: as :func:`load_study`.
    """
    source = parse(origin.text, origin.name)
    table = with_scale(source, origin.scale)
    overridden = with_options(table, origin.set, origin.replicates, source.table)
    study, problems = validate(overridden.table)
    if study is not None and not overridden.problems:
        if origin.scale is None:
            problems = scale_problems(source.table)
        if origin.smoke and not problems:
            # Levels are made small without --set, which is applied afterwards, so that its values stay as given.
            plain = validate(table)[0] if overridden.assigned else study
            small = small_table(table, study, plain or study)
            overridden = with_options(small, origin.set, origin.replicates, source.table)
            study, problems = validate(overridden.table)
    if study is None or problems or overridden.problems:
        raise InputError(overridden.problems + messages(problems, source, overridden, origin.scale))
    study._origin = replace(origin, assigned=overridden.assigned)
    return study
