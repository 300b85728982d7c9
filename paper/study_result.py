"""The result of one study as plain JSON, from which its page is written: ``paper/results/<study>.json``.

Deterministic: the order of keys is fixed, numbers are rounded to :data:`DIGITS` significant digits, NaN is null, and an
interval without an end has the text ``inf`` or ``-inf`` there. Nothing in it names a machine, a user or a folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from biasprop.store.metadata import table
from paper.stores import Provenance

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.summary import LevelRow, OnScales, Summary
    from biasprop.study.study import Study

FORMAT = 2
"""Raised when the keys of the JSON change."""

DIGITS = 6
"""Significant digits of every number that is not a whole one."""

BY_SUBGROUP = ("auc", "sensitivity", "specificity", "n", "n_positive")
"""Measures of a subgroup that stand in a level."""

ACROSS = ("worst_auc", "z_gap", "threshold")
"""Measures of an arm as a whole that do; an arm of one subgroup has no gap."""


def result(
    name: str,
    cube: xr.Dataset,
    summary: Summary,
    study: Study,
    provenance: Provenance,
    figure: str | None = None,
    predictions: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What is known of a study, as JSON values.

    Args:
        name: of the study, which is its file's without the suffix.
        cube: as ``biasprop.open_cube`` gives it; its attributes say what was run.
        summary: estimates and levels of that cube.
        study: its estimands and levels give the words of the answer.
        provenance: when and on what it was computed.
        figure: name of the figure beside the page; None without one.
        predictions: values of the predictions that are of the study, from ``paper.predictions.measured``.
    """
    from biasprop.report.answer import answer

    first = summary.levels[0] if summary.levels else None
    minutes = {stage: round(spent, 1) for stage, spent in provenance.minutes.items()}
    return plain(
        {
            "format": FORMAT,
            "study": name,
            "title": str(cube.attrs.get("title", name)),
            "question": " ".join(str(cube.attrs.get("question", "")).split()),
            "digest": cube.attrs.get("digest"),
            "numerics": cube.attrs.get("numerics"),
            "scale": table(cube.attrs, "overrides", {}).get("scale"),
            "date": provenance.date,
            "minutes": round(sum(provenance.minutes.values()), 1) if minutes else None,
            "minutes_by_stage": minutes,
            "versions": table(cube.attrs, "versions", {}),
            "computed_on": [{"fingerprint": words, "arms": arms} for words, arms in provenance.fingerprints.items()],
            "replicates": cube.sizes["replicate"],
            "arms": len(summary.levels),
            "digits": DIGITS,
            "figure": figure,
            "answer": answer(summary, study).text(),
            "estimates": [asdict(estimate) for estimate in summary.estimates],
            "scales": [_on_scales(one) for one in summary.scales],
            "predictions": list(predictions),
            "target_specificity": summary.target_specificity,
            "compared": list(first.compared) if first else [],
            "levels": [_level(row) for row in summary.levels],
        }
    )


def _on_scales(one: OnScales) -> dict[str, Any]:
    from biasprop.statistics.summary import place

    return {
        "name": one.name,
        "place": place(one.subgroups, one.arm),
        "scales": {name: mean._asdict() for name, mean in one.scales.items()},
        "reasons": one.reasons,
        "disagree": one.disagree,
    }


def _level(row: LevelRow) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "replicates": row.replicates,
        "missing": row.missing,
        "subgroups": {
            name: {measure: means[measure]._asdict() for measure in BY_SUBGROUP}
            for name, means in row.subgroups.items()
        },
        "across": {measure: row.across[measure]._asdict() for measure in ACROSS if measure in row.across},
        "levelling_down": row.levelling_down,
        "aucs_moved_from_0_or_1": row.moved,
    }


def plain(value: Any) -> Any:
    """Return a value as one of JSON; see the module."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return None if math.isnan(value) else float(f"{value:.{DIGITS}g}") + 0.0  # -0.0 is 0.0


def dumps(value: Mapping[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
