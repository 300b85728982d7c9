"""Pages of results and the gallery of studies, written from ``paper/results/*.json`` and the study files alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from biasprop.store import whole_files
from paper.markdown import code, escaped, filled, link, prose, table
from paper.study_result import FORMAT

Result = Mapping[str, Any]
"""The JSON of one study, as ``paper.study_result`` makes it."""

HERE = Path(__file__).parent
RESULTS = HERE / "results"
STUDIES = HERE.parent / "studies"
GALLERY = STUDIES / "README.md"

OTHERS = ("tuning", "predictions", "before_after", "published", "pretraining_worth")
"""Files of the results that are no result of a study: that of ``python -m paper.tuning``, and what is made of several
studies."""

GENERATED = "<!-- Written by `python -m paper.make --pages`; edits are lost. -->"


def write(results: Path = RESULTS, gallery_file: Path | None = GALLERY) -> list[Path]:
    """Write the page of every result, and the gallery; needs no store.

    Args:
        results: folder of the JSON files.
        gallery_file: where the gallery goes; None leaves it out.

    Returns:
        The files written.

    Raises:
        InputError: a JSON file cannot be read or has another format.
    """
    found = read(results)
    texts = {results / f"{name}.md": page(value) for name, value in found.items()}
    texts |= {results / name: text for name, text in across(found).items()}
    if gallery_file is not None:
        texts[gallery_file] = gallery(STUDIES, found)
    for file, text in texts.items():
        replace(file, text)
    return list(texts)


def across(results: Mapping[str, Result], studies: Path = STUDIES) -> dict[str, str]:
    """What is made of several studies: name of the file -> its text.

    Args:
        results: study -> its JSON; only those count that are of the study as it is now.
        studies: folder of the study files.
    """
    from paper import before_after, predictions, pretraining_worth, published
    from paper.study_result import dumps

    now = {name: value for name, value in results.items() if is_current(value, studies / f"{name}.toml")}
    score = predictions.scored(predictions.read(), now)
    answers = before_after.compared(before_after.read(), now)
    findings = published.compared(published.read(), now)
    worths = pretraining_worth.collected(now, studies)
    return {
        "predictions.json": dumps(score),
        "predictions.md": predictions.page(score, GENERATED),
        "before_after.json": dumps(answers),
        "before_after.md": before_after.page(answers, GENERATED),
        "published.json": dumps(findings),
        "published.md": published.page(findings, GENERATED),
        "pretraining_worth.json": dumps(worths),
        "pretraining_worth.md": pretraining_worth.page(worths, GENERATED),
    }


def read(results: Path = RESULTS) -> dict[str, Result]:
    """All results of a folder, by study.

    Raises:
        InputError: a file cannot be read or has another format.
    """
    files = (file for file in sorted(results.glob("*.json")) if file.stem not in OTHERS)
    return {file.stem: read_json(file, FORMAT, "run `python -m paper.make` with the study's store") for file in files}


def read_json(file: Path, version: int, advice: str) -> dict[str, Any]:
    """Read a generated JSON file.

    Args:
        file: with an object that has the key ``format``.
        version: value of that key.
        advice: what to do about a file of another format.

    Raises:
        InputError: it cannot be read or has another format.
    """
    from biasprop.component import InputError

    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    if not isinstance(value, dict) or value.get("format") != version:
        raise InputError(f"{file}: not of format {version}; {advice}")
    return value


def replace(file: Path, text: str) -> None:
    """Write a text file, see :func:`biasprop.store.whole_files.write_text`; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(file, text)


def page(result: Result) -> str:
    """The page of a study: question, provenance, answer, estimates, levels, notes."""
    parts = [GENERATED, f"# {escaped(result['title'])}", prose(result["question"]), filled(_provenance(result))]
    parts += ["## Answer", prose(result["answer"])]
    if result["figure"]:
        parts += [_picture(result, ""), filled(_caption(result["figure"]))]
    parts += ["## Estimates", *_estimates(result)]
    if result.get("scales"):  # results of an earlier version have none
        parts += ["## Scales", *_scales(result["scales"])]
    if result["levels"]:
        parts += ["## Levels", *_levels(result)]
    return "\n\n".join(parts) + "\n"


def gallery(studies: Path, results: Mapping[str, Result]) -> str:
    """One section for every study file of a folder.

    Args:
        studies: the folder.
        results: study -> its JSON; a study without one is said not to have been run.
    """
    from biasprop.study.load import load_study

    parts = [GENERATED, "# Studies", filled(INTRODUCTION)]
    for file in sorted(studies.glob("*.toml")):
        study = load_study(file)
        parts += [f"## {escaped(study.title)}", prose(study.question), f"{_size(study, file.name)}"]
        parts += _outcome(results.get(file.stem), file)
    return "\n\n".join(parts) + "\n"


INTRODUCTION = (
    "Every study of this folder, with the answer that its last run gave. `python -m biasprop.run studies/NAME.toml` "
    "runs one; `python -m paper.make` then renews its result, its page and this gallery. What the words mean is in "
    "[the methods](../paper/methods.md)."
)

PLACE = "../paper/results/"
"""Folder of the pages, seen from the gallery."""


def _size(study: Any, file: str) -> str:
    from biasprop.study import design

    cells = design.cells(study)
    arms = sum(len(cell.arms) for cell in cells)
    factors = ", ".join(f"{name} ({len(study.levels(name))})" for name in study.factors)
    return "\n".join(
        [
            f"- file: [{code(file)}]({quote(file)}), seed {study.seed}",
            f"- size: {len(cells):,} cells and {arms:,} arms from {study.replicates} replicates; "
            f"factors (levels): {escaped(factors) or 'none'}",
        ]
    )


def _outcome(result: Result | None, file: Path) -> list[str]:
    if result is None:
        return ["*It has not been run with this version yet.*"]
    page = link("All estimates and levels", f"{PLACE}{result['study']}.md")
    if not is_current(result, file):
        return [
            "*It has not been run with this version yet*: the study file or the package gives other numbers now. "
            f"Results of an earlier version: {page}."
        ]
    cost = "" if result["minutes"] is None else f" in {_minutes(result['minutes'])} of computing"
    parts = [prose(result["answer"]), f"{page}; {result['replicates']} replicates{cost}."]
    return [*parts, _picture(result, PLACE)] if result["figure"] else parts


def is_current(result: Result, file: Path) -> bool:
    """Whether a result is that of a study file as it is, with this version of the package."""
    from biasprop.component import InputError
    from biasprop.study.load import load_study

    try:
        return load_study(file, scale=result["scale"]).digest == result["digest"]
    except InputError:  # it has no such scale, or there is no such file any more
        return False


def _picture(result: Result, folder: str) -> str:
    name = result["figure"].replace("_", " ")
    return link(f"{result['title']}: {name}", f"{folder}{result['study']}.png", image=True)


def _caption(figure: str) -> str:
    from paper.figures import FIGURES

    return FIGURES[figure][1] if figure in FIGURES else ""


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if minutes >= 10 else f"{minutes:.1f} minutes"


def _provenance(result: Result) -> str:
    """Where the numbers come from, in one line."""
    versions = result["versions"]
    package = f"biasprop {versions['biasprop']}" if "biasprop" in versions else "biasprop"
    words = [
        f"Study {code(result['study'])} (digest {code(str(result['digest']))})",
        f"{package}, numerics {result['numerics']}",
    ]
    if result["scale"]:
        words.append(f"scale {escaped(result['scale'])}")
    words.append(f"{result['arms']} arms in each of {result['replicates']} replicates")
    if result["date"]:
        words.append(f"computed until {result['date']}")
    if result["minutes"] is not None:
        words.append(f"{_minutes(result['minutes'])} of computing, summed over processes")
    words += [f"on {escaped(entry['fingerprint'])} ({entry['arms']} arms)" for entry in result["computed_on"]]
    return "; ".join(words) + "."


def _estimates(result: Result) -> list[str]:
    from biasprop.estimands import ESTIMANDS
    from biasprop.report.margin import margin_in_patients
    from biasprop.statistics.summary import place

    head = ("estimand", "arm", "role", "value", "95 % interval", "deciding interval", "margin", "replicates")
    notes: dict[str, int] = {}
    rows = []
    for one in result["estimates"]:
        kind = ESTIMANDS[one["kind"]]
        shown = [
            one["name"],
            place(one["subgroups"], one["arm"]) or DASH,
            one["role"],
            _number(one["value"], kind.digits, kind.tested),
            _interval(one["low"], one["high"], kind.tested, kind.digits),
            _interval(one["zone_low"], one["zone_high"], kind.tested),
            DASH if one["role"] == "exploratory" else f"{one['margin']:g}",
            str(one["replicates"]),
            one["verdict"],
            str(notes.setdefault(one["reason"], len(notes) + 1)) if one["reason"] else "",
        ]
        rows.append(shown)
    areas = [
        (level["arm"], {name: _float(means["auc"]["value"]) for name, means in level["subgroups"].items()})
        for level in result["levels"]
    ]
    meaning = margin_in_patients(result["estimates"], areas, result["target_specificity"])
    parts = [filled(f"{ESTIMATES} {meaning}".strip()), table([*head, "verdict", "note"], rows, left=(0, 1, 2, 8))]
    return [*parts, "\n".join(f"{number}. {escaped(note)}" for note, number in notes.items())] if notes else parts


ESTIMATES = (
    "Contrasts are on z = sqrt(2) times the inverse normal CDF of the AUC unless the estimand says otherwise. "
    "One interval decides the verdict, the first that holds: *material* (wholly beyond the margin), *negligible* "
    "(wholly inside it), *present, size unclear* (leaves out 0), *not resolved*. It is the 95 % interval of the "
    "primary estimate; those of all secondary estimates hold together at 95 % (Bonferroni); exploratory ones have no "
    "verdict. Numbers in the last column refer to the notes below; a dash is a value that is not defined."
)


def _scales(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    from biasprop.metrics import SCALES

    names = list(dict.fromkeys(name for row in rows for name in row["scales"]))
    head = ["estimand", "arm", *(SCALES[name].long_name for name in names), "signs"]
    cells = [
        [
            escaped(row["name"]),
            escaped(row["place"]) or DASH,
            *(_mean(row["scales"][name], signed=True) if name in row["scales"] else DASH for name in names),
            "disagree" if row["disagree"] else "",
        ]
        for row in rows
    ]
    reasons = dict.fromkeys(f"{why[:1].upper()}{why[1:]}." for row in rows for why in row["reasons"].values())
    text = (
        "The primary and secondary contrasts on every scale of the AUC, with plain 95 % intervals. *Disagree*: "
        "intervals that leave out 0 have different signs, so that the sign of the effect depends on the scale."
    )
    return [filled(text), table(head, cells, left=(0, 1)), *(filled(escaped(why)) for why in reasons)]


def _levels(result: Result) -> list[str]:
    levels = result["levels"]
    factors, subgroups = list(levels[0]["arm"]), list(levels[0]["subgroups"])
    pair = " - ".join(result["compared"])
    head = [*factors, *(f"AUC {name}" for name in subgroups), "worst AUC"]
    head += [f"z gap {pair}"] if pair else []
    for measure in ("sensitivity", "specificity"):
        head += [f"{measure} {name}" for name in subgroups]
    head += [f"subjects (diseased) {name}" for name in subgroups]
    head += ["levelling down", "replicates", "missing"]
    rows = []
    for level in levels:
        own = [level["subgroups"][name] for name in subgroups]
        shown = [str(value) for value in level["arm"].values()]
        shown += [_mean(means["auc"]) for means in own] + [_mean(level["across"]["worst_auc"], interval=False)]
        shown += [_mean(level["across"]["z_gap"], signed=True)] if pair else []
        for measure in ("sensitivity", "specificity"):
            shown += [_mean(means[measure], interval=False) for means in own]
        shown += [f"{_count(means['n'])} ({_count(means['n_positive'])})" for means in own]
        shown.append({None: DASH, True: "yes", False: "no"}[level["levelling_down"]])
        missing = ", ".join(f"{count} {why}" for why, count in level["missing"].items() if count)
        rows.append([*shown, str(level["replicates"]), missing or DASH])
    text = (
        "Means over replicates, with 95 % t intervals in brackets. Sensitivity and specificity are at one threshold "
        f"for all subgroups, set at a specificity of {result['target_specificity']:g} on the calibration set. "
        "*Missing*: replicates in which a draw of the arm has not run, diverged or failed."
    )
    return [filled(text), table(head, rows, left=tuple(range(len(factors))))]


DASH = "-"
"""What stands for a value that is not defined."""


def _float(value: float | str | None) -> float:
    """A number of the JSON: null is NaN, ``inf`` without end."""
    return math.nan if value is None else float(value)


def _number(value: float | str | None, digits: int = 3, signed: bool = False) -> str:
    from biasprop.report.tables import number

    return number(_float(value), digits, signed)


def _interval(low: Any, high: Any, signed: bool, digits: int = 3) -> str:
    from biasprop.report.tables import bounds

    return bounds(_float(low), _float(high), signed, digits)


def _mean(mean: Result, *, interval: bool = True, signed: bool = False) -> str:
    value = _number(mean["value"], signed=signed)
    return f"{value} {_interval(mean['low'], mean['high'], signed)}" if interval and value != DASH else value


def _count(mean: Result) -> str:
    return _number(mean["value"], 0)
