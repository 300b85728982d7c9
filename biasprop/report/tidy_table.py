"""All numbers of a study as one tidy table: one row per estimate, for pandas, R or a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.statistics.summary import AgainstMean, Estimate, LevelRow, OnScales, Parts, Summary
from biasprop.store import whole_files

if TYPE_CHECKING:
    import pandas as pd

WHAT = ("table", "name", "kind", "scale", "subgroup", "against")
"""Columns before those of the factors."""

HOW_MUCH = ("value", "low", "high", "zone_low", "zone_high", "se", "replicates", "verdict", "margin", "role")
HOW_MUCH += ("method", "reason")
"""Columns behind those of the factors."""

FORMULA = re.compile(r"'*(?![-+]?[\d.]+$)[=+\-@\t\r]")
"""How a formula of a spreadsheet begins; a number, such as ``-1``, is none."""


def dataframe(store: str | Path) -> pd.DataFrame:
    """Return all numbers of a store.

    Args:
        store: the folder of the store, which may be partly filled.

    Returns:
        See :func:`tabulated`. It is of the study as it was last run: ``attrs["left_out"]`` names levels and replicates
        that the store has besides.

    Raises:
        InputError: there is no such store, it is damaged, or its study is no longer valid.
    """
    from biasprop.report import results
    from biasprop.store.view import LEFT_OUT

    summary, cube = results.stored_summary(store)
    found = tabulated(summary)
    found.attrs |= {LEFT_OUT: results.left_out(cube)}
    return found


def tabulated(summary: Summary) -> pd.DataFrame:
    """Return a summary as a table.

    Returns:
        One row per estimate. ``table`` is *estimand* (stated in the study), *subgroup* (one subgroup minus the mean of
        all, beside an estimand that compares all; its intervals hold at once), *scale* (a contrast on each scale of its
        metric), *level* (a measure of a subgroup or of an arm as a whole) or *part* (a term of a gap on z); ``name`` is
        the estimand, the measure or the term;
        ``subgroup`` is the subgroup it is of (of a gap: A, which a positive value favours where high is good) and
        ``against`` is B.
        One column per factor, empty where the estimate runs over it. ``value``, ``low`` and ``high`` are the mean over
        ``replicates`` replicates and its plain 95 % interval; the other columns are those of
        :class:`biasprop.statistics.summary.Estimate`, empty for levels and parts.
    """
    import pandas as pd

    rows = [*_estimands(summary.estimates), *_against_mean(summary.against_mean), *_scales(summary.scales)]
    rows += [*_levels(summary.levels), *_parts(summary.parts)]
    table = pd.DataFrame(rows, columns=["arm", *WHAT, *HOW_MUCH])
    factors = dict.fromkeys(name for one in (*summary.levels, *summary.estimates) for name in one.arm)
    # A factor may have the name of another column, which then keeps it.
    columns = {name: name if name not in table.columns else f"factor {name}" for name in factors}
    arms = table.pop("arm")
    for name, column in columns.items():
        table[column] = pd.Series([arm.get(name) for arm in arms]).convert_dtypes()
    return table.reindex(columns=[*WHAT, *columns.values(), *HOW_MUCH])


def write_csv(table: pd.DataFrame, file: Path) -> None:
    """Write a table as CSV in UTF-8, see :func:`biasprop.store.whole_files.output`.

    Names are written as they are, in quotes only where CSV needs them, because many readers take an empty field in
    quotes for text; undefined values are empty. So that names such as ``NA`` are read back as names, tell the reader
    that only empty fields are missing; in pandas::

        pandas.read_csv(file, keep_default_na=False, na_values=[""])

    and ``dtype={"factor": str}`` for names such as ``1`` or ``true``.

    Names may come from a table of own data. One that a spreadsheet would run as a formula gets an
    apostrophe in front (OWASP, CSV injection), and so does one that looks like that already, so that removing one
    apostrophe wherever :data:`FORMULA` matches gives the names back.
    """
    import pandas as pd

    text = [name for name in table if pd.api.types.is_string_dtype(table[name]) or table[name].dtype == object]
    inert = table.assign(**{str(name): table[name].map(_inert, na_action="ignore") for name in text})
    with whole_files.output(file) as whole:
        inert.rename(columns=_inert).to_csv(whole, index=False, encoding="utf-8", lineterminator="\n")


def _inert(value: Any) -> Any:
    """A value that no spreadsheet runs."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _estimands(estimates: list[Estimate]) -> Iterator[dict[str, Any]]:
    for estimate in estimates:
        a, b = (*estimate.subgroups, None)[:2]
        yield {"table": "estimand", "subgroup": a, "against": b} | {
            name: value for name, value in vars(estimate).items() if name != "subgroups"
        }


def _against_mean(rows: list[AgainstMean]) -> Iterator[dict[str, Any]]:
    for row in rows:
        about = {"name": row.name, "arm": row.arm, "scale": row.scale, "subgroup": row.subgroup}
        yield {"table": "subgroup"} | about | row.mean._asdict()


def _scales(rows: list[OnScales]) -> Iterator[dict[str, Any]]:
    for row in rows:
        a, b = (*row.subgroups, None)[:2]
        for scale, mean in row.scales.items():
            about = {"name": row.name, "arm": row.arm, "scale": scale, "subgroup": a, "against": b}
            yield {"table": "scale"} | about | mean._asdict() | {"reason": row.reasons.get(scale, "")}


def _levels(levels: list[LevelRow]) -> Iterator[dict[str, Any]]:
    for row in levels:
        shared = {"table": "level", "arm": row.arm}
        for subgroup, measures in row.subgroups.items():
            for name, mean in measures.items():
                yield shared | {"name": name, "subgroup": subgroup} | mean._asdict()
        a, b = row.compared or (None, None)
        for name, mean in row.across.items():
            between = {"subgroup": a, "against": b} if name.endswith("_gap") else {}
            yield shared | {"name": name} | between | mean._asdict()


def _parts(parts: list[Parts]) -> Iterator[dict[str, Any]]:
    for part in parts:
        for name, mean in {"swap contrast": part.swap, **part.terms}.items():
            yield {"table": "part", "name": name, "arm": part.arm, "scale": "z", "reason": part.reason} | mean._asdict()
