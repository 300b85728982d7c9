"""Load a study file: parse, override, validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from biasprop.component import InputError
from biasprop.paths import user_path
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
        path: the TOML file, also a pipe or ``/dev/stdin``; ``~`` is the home folder.
        set: overrides ``KEY=VALUE``, applied last; a value that is not valid TOML is taken as a string.
        scale: name of one of the study's ``[scale.NAME]`` tables of overrides, applied first.
        smoke: reduce sizes (cohort, images, network, steps ...) for a quick trial; factors and estimands stay, and the
            numbers that levels set are reduced too.
        replicates: overrides the study's number of replicates.

    Raises:
        InputError: the study is not valid; lists every problem with its line and the allowed values.
    """
    return remake(Origin(str(user_path(path)), read_text(path), tuple(set), scale, smoke, replicates))


def remake(origin: Origin) -> Study:
    """Make a study from its text and options; worker processes use this, because they may not have the file.

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
            # Sizes are reduced before --set is applied again, so that values given by --set stay as they are.
            without_set = validate(table)[0] if overridden.assigned else study
            reduced = small_table(table, study, without_set or study)
            overridden = with_options(reduced, origin.set, origin.replicates, source.table)
            study, problems = validate(overridden.table)
    if study is None or problems or overridden.problems:
        raise InputError(overridden.problems + messages(problems, source, overridden, origin.scale))
    study._origin = replace(origin, assigned=overridden.assigned)
    return study
