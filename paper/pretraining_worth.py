"""What pretraining was worth in every study, by modality and label budget: every estimate of kind ``worth``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper.markdown import escaped, filled, table
from paper.present_estimates import shown

if TYPE_CHECKING:
    from biasprop.study.study import Study

FORMAT = 1
"""Raised when the keys of the JSON change."""

CHOSEN = "chosen on validation: "
"""How the reason of an estimate begins whose sides have the protocol with the higher validation AUC."""


def collected(results: Mapping[str, Mapping[str, Any]], studies: Path) -> dict[str, Any]:
    """Return the estimates as JSON values, each once, by modality, study, budget and arm.

    Args:
        results: study -> its JSON; those of an earlier version of the study have to be left out.
        studies: folder of the study files.
    """
    from biasprop.study.load import load_study

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, result in results.items():
        if any(one["kind"] == "worth" for one in result["estimates"]):
            study = load_study(studies / f"{name}.toml", scale=result["scale"])
            for row in _rows(name, study, result["estimates"]):
                own = (row[key] for key in ("labels", "arm", "reference", "chosen", "scale"))
                rows.setdefault((name, *row["subgroups"], *own), row)
    order = ("modality", "study", "labels", "arm")
    return {"format": FORMAT, "worths": sorted(rows.values(), key=lambda row: [row[key] for key in order])}


def _rows(name: str, study: Study, estimates: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Those against training from scratch; a difference of two worths, which has ``minus``, says nothing of either."""
    stated = {estimand.name: estimand for estimand in study.estimands}
    budget = study.label_budget
    for one in estimates:
        if one["kind"] != "worth" or stated[one["name"]].minus or one["value"] is None:
            continue
        estimand: Any = stated[one["name"]]
        arm = {factor: level for factor, level in one["arm"].items() if factor != budget}
        yield {
            "modality": study.generator.kind,
            "study": name,
            "subgroups": one["subgroups"],
            "arm": ", ".join(map(str, arm.values())),
            "reference": estimand.reference,
            "labels": int(one["arm"][budget]) if budget in one["arm"] else int(study.finetuning.labels),
            "chosen": one["reason"].removeprefix(CHOSEN) if one["reason"].startswith(CHOSEN) else "",
            **{key: one[key] for key in ("scale", "value", "low", "high", "replicates")},
        }


def page(value: Mapping[str, Any], generated: str) -> str:
    """The page: a summary by modality and budget, and all estimates.

    Args:
        value: from :func:`collected`.
        generated: the first line, which says what writes it.
    """
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in value["worths"]:
        groups.setdefault((row["modality"], row["labels"]), []).append(row)
    head = ("modality", "labels", "estimates", "median", "lowest", "highest", "interval above 0", "interval below 0")
    parts = [generated, "# What pretraining was worth", filled(escaped(INTRODUCTION))]
    parts.append(table(head, [_summary(*key, groups[key]) for key in sorted(groups)], left=(0,)))
    head = ("modality", "study", "labels", "subgroup", "arm", "worth", "replicates", "reference", "protocols")
    rows = [
        [
            *(row["modality"], row["study"], str(row["labels"]), ", ".join(row["subgroups"]), row["arm"], shown(row)),
            *(str(row["replicates"]), row["reference"], row["chosen"] or "that of the arm"),
        ]
        for row in value["worths"]
    ]
    return "\n\n".join([*parts, table(head, rows, left=(0, 1, 3, 4, 7, 8))]) + "\n"


def _summary(modality: str, labels: int, rows: list[Mapping[str, Any]]) -> list[str]:
    from biasprop.report.tables import number

    values = [row["value"] for row in rows]
    spread = [number(value, signed=True) for value in (statistics.median(values), min(values), max(values))]
    above = sum(row["low"] is not None and row["low"] > 0 for row in rows)
    below = sum(row["high"] is not None and row["high"] < 0 for row in rows)
    return [modality, str(labels), str(len(rows)), *spread, str(above), str(below)]


INTRODUCTION = (
    "The worth of pretraining is z(AUC) after pretraining minus z(AUC) of the reference, a network trained from "
    "scratch on the same labels unless its name says otherwise. Each side has the protocol with the higher validation "
    "AUC, or that of the arm. Estimates of one study share replicates, and encoders pretrained on skewed cohorts or on "
    "natural textures are among them, so that medians describe and test nothing; intervals are plain 95 % intervals."
)
