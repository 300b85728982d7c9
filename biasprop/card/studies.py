"""Studies of this package beside a case: which of them resemble it, and what a store of one says of labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from biasprop.statistics.summary import LevelRow, Summary
    from biasprop.study.study import Study

MODALITIES: dict[str, tuple[str, ...]] = {
    "dermoscopy": ("dermoscopy", "dermatoscopy", "dermatology", "skin", "melanoma", "clinical photograph"),
    "chest_film": ("radiograph", "radiography", "x-ray", "xray", "chest film", "cxr"),
    "chest_ct": ("chest ct", "lung ct", "lung nodule", "ct of the chest", "computed tomography of the chest"),
    "brain_mri": ("mri", "mr", "magnetic resonance", "brain"),
}
"""Generator -> words for what it simulates."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "skin tone": ("tone", "skin tone", "skintone", "fitzpatrick", "monk", "ita", "phototype", "skin type", "skin"),
    "sex": ("sex", "gender"),
    "age": ("age", "age group", "agegroup", "paediatric", "pediatric", "child"),
    "site": ("site", "hospital", "centre", "center", "institution"),
    "scanner": ("scanner", "sequence", "vendor", "manufacturer", "field strength"),
}
"""Attribute -> names of columns that hold it."""


class Resembling(NamedTuple):
    """A study file of this package."""

    name: str
    """``studies/<name>.toml``."""
    generator: str
    attributes: tuple[str, ...]
    asks: str


STUDIES = (
    Resembling("skin_tone", "dermoscopy", ("skin tone",), "how much of a skew in skin tone is left after fine-tuning"),
    Resembling(
        "label_budget", "dermoscopy", ("skin tone",), "how many labels, and of which subgroup, override pretraining"
    ),
    Resembling(
        "data_efficiency", "dermoscopy", ("skin tone",), "what pretraining is worth, and how many labels it saves"
    ),
    Resembling("mitigation", "dermoscopy", ("skin tone",), "which mitigations remove a skew, at what cost"),
    Resembling("tone_by_site", "dermoscopy", ("skin tone", "site"), "whether the gap of tone is the same in all sites"),
    Resembling("sex_imbalance", "chest_film", ("sex",), "who pays for one sex in pretraining or in the labels"),
    Resembling("age_skew", "chest_film", ("age",), "who pays for a cohort mostly of 40 to 70 years"),
    Resembling(
        "paediatric_pneumonia", "chest_film", ("age",), "whether labelled children make up for pretraining on adults"
    ),
    Resembling(
        "intersections", "chest_film", ("sex", "age"), "whether every combination of sex and age has to be seen"
    ),
    Resembling("institutions", "chest_ct", ("site",), "who pays for pretraining at academic centres alone"),
    Resembling("federated", "chest_ct", ("site",), "whether federated pretraining is worth as much as pooled data"),
    Resembling("mri_sequences", "brain_mri", ("scanner",), "whether a model of one sequence is one of another"),
)
"""Study files that may resemble a case."""

CARRIES_OVER = (
    "What carries over from a simulated study is the mechanism: under which conditions a skew of pretraining is handed "
    "on, its sign, and whether labels override it. Its sizes do not carry over: images are simulated, groups "
    "differ in stated levers only, ratios are of simulated groups, and encoders and cohorts are small."
)
"""Said beside every study that is cited."""


@dataclass(frozen=True)
class StudyPoint:
    """AUC of a subgroup in one arm of a study, with its 95 % interval over replicates."""

    subgroup: str
    pretraining: str
    labels: str
    auc: float
    low: float
    high: float
    replicates: int


@dataclass(frozen=True)
class StudyEvidence:
    """What a store of this package says."""

    name: str
    digest: str
    generator: str
    subgroups: tuple[str, ...]
    resembles: str
    """In what it resembles the case, or that too little is stated to say."""
    answer: tuple[str, ...]
    """Sentences of its report."""
    arm: dict[str, Any]
    """Levels of the factors that are not shown."""
    points: tuple[StudyPoint, ...]


def generators_of(modality: str) -> set[str]:
    """Return the generators that simulate a stated modality, by whole words."""
    return {name for name, words in MODALITIES.items() if any(_has(modality, word) for word in words)}


def attributes_of(columns: Iterable[str]) -> set[str]:
    """Return the attributes that columns hold, by whole words of their names."""
    return {
        name for name, words in ATTRIBUTES.items() for column in columns if any(_has(column, word) for word in words)
    }


def resembling(modality: str, columns: Sequence[str]) -> list[Resembling]:
    """Return the studies with a stated modality and at least one of the attributes."""
    generators, attributes = generators_of(modality), attributes_of(columns)
    return [one for one in STUDIES if one.generator in generators and attributes & {*one.attributes}]


def _has(text: str, word: str) -> bool:
    words = " ".join(re.findall(r"[a-z0-9-]+", text.lower().replace("_", " ")))
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}s?(?![a-z0-9])", words) is not None


def read_study(folder: Path, modality: str, columns: Sequence[str]) -> StudyEvidence:
    """Read what a store of this package says of labels. Trains nothing.

    Args:
        folder: of the store.
        modality: that is stated of the case; empty if none is.
        columns: names of its attributes.

    Raises:
        InputError: there is no such store, it is damaged, has no finished arm, or its study is no longer valid.
    """
    from biasprop.hardware import environment

    environment.configure()  # the definitions of a study load JAX
    from biasprop.component import InputError
    from biasprop.report import results
    from biasprop.report.answer import answer
    from biasprop.statistics.measures import measure
    from biasprop.statistics.summary import summary_of

    study, cube, _ = results.stored(folder)
    # Without the terms of gaps, which need the difficulty ledger.
    summary = summary_of(measure(cube, **study.evaluation.decisions()), study.estimands)
    if not any(row.replicates for row in summary.levels):
        raise InputError(f"{folder}: has no finished arm yet; run the study first")
    arm, points = _curve(summary, study)
    generator = study.generator.kind
    return StudyEvidence(
        study.stem,
        study.digest,
        generator,
        tuple(str(name) for name in cube["subgroup"].values),
        _resemblance(generator, [study.stem, *study.factors], modality, columns),
        answer(summary, study).sentences,
        arm,
        points,
    )


def _resemblance(generator: str, names: Sequence[str], modality: str, columns: Sequence[str]) -> str:
    if not modality:
        return "no modality is stated, so whether it resembles the case cannot be said"
    if generator not in generators_of(modality):
        return f"its modality is another one: it simulates {MODALITIES.get(generator, (generator,))[0]}"
    known = {one.name: set(one.attributes) for one in STUDIES}
    shared = known.get(names[0].removesuffix("_full"), attributes_of(names)) & attributes_of(columns)
    if not shared:
        return "its modality is that of the case; its attributes are others"
    return f"its modality is that of the case, and it varies {', '.join(sorted(shared))}"


def _curve(summary: Summary, study: Study) -> tuple[dict[str, Any], tuple[StudyPoint, ...]]:
    """Levels that are held (those of the primary estimate), and the AUC at every pretraining and label budget."""
    varied = {
        name for name in study.factors if any(("finetuning", "labels") in one.settings for one in study.levels(name))
    }
    pretraining = {name for name in study.factors if any("pretraining" in one.sides() for one in study.levels(name))}
    shown = varied | pretraining
    primary = next((one for one in summary.estimates if one.primary), None)
    first = summary.levels[0].arm
    held = {
        name: primary.arm[name] if primary and name in primary.arm else level
        for name, level in first.items()
        if name not in shown
    }
    rows = [row for row in summary.levels if all(row.arm[name] == level for name, level in held.items())]
    points = [point for row in rows for point in _points(row, varied, pretraining, study)]
    return held, tuple(points)


def _points(row: LevelRow, budgets: set[str], pretraining: set[str], study: Study) -> list[StudyPoint]:
    labels = ", ".join(str(row.arm[name]) for name in row.arm if name in budgets) or str(study.finetuning.labels)
    mix = ", ".join(str(row.arm[name]) for name in row.arm if name in pretraining) or "as in the study"
    return [
        StudyPoint(subgroup, mix, labels, mean.value, mean.low, mean.high, mean.replicates)
        for subgroup, measures in row.subgroups.items()
        if (mean := measures["auc"]).replicates
    ]
