"""The tables of a confirmation, below the usual one of its round, from the JSON alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paper.markdown import filled, table

Result = Mapping[str, Any]

DASH = "-"
"""What stands for a value that is not defined."""

NOT_BLIND = """
This round was run once, after the recipe was frozen, and is therefore no longer blind: what follows is by subgroup.
Intervals are 95 %, over replicates; n is the number of replicates that have the value."""

LABELS_USED = """
A label budget counts the labelled subjects of fine-tuning. A fifth of them (at least 2, at most {most:,}) validates: it
chooses penalties, and when training ends. The {calibration:,} subjects of the calibration set, which set the operating
threshold, are labelled apart and not counted; z needs no threshold."""

QUALITY = """
z under a linear probe, averaged over subgroups; t interval. The reference is what the pilot reached, as the mean of the
z of its subgroups; it is reached if the mean over replicates is at least that."""

PROTOCOLS = """
The protocol of each setting at each label budget is the one with the highest AUC on the validation subjects of all
subgroups together, never on test subjects: mean over the n replicates that have one of every protocol (a replicate has
none where a draw diverged or failed, or all validation subjects are of one class). These subjects also chose penalties
and when training ends, so that the AUC is high for an estimate."""

WORTH = """
z of a setting minus z of scratch, paired by replicate, each with its chosen protocol; t interval. Beside it z of both
sides, mean +- standard error over the same replicates."""

EFFICIENCY = """
How many times the labels scratch needs for the same z, each with its chosen protocol: a ratio of label budgets, read
off the learning curve of scratch, which is monotone in the mean over replicates and straight in z against ln(labels)
between budgets. The interval is that of the estimand *label_efficiency*: the ratios that a paired t test does not
reject. Nothing is extrapolated: `> 25` where scratch does not get there with its largest budget or may not, `< 0.5`
where it does or may with its smallest one."""


def sections(confirmation: Result) -> list[str]:
    """Headings, legends and tables."""
    return [
        filled(NOT_BLIND),
        *_labels_used(confirmation["labels_used"]),
        *_quality(confirmation["quality"]),
        *_protocols(confirmation["protocols"]),
        *_worth(confirmation["worth"], confirmation["aims"]),
        *_efficiency(confirmation["efficiency"], confirmation["aims"]),
    ]


def _labels_used(used: Result) -> list[str]:
    rows = [[f"{budget[name]:,}" for name in ("labels", "train", "validation")] for budget in used["budgets"]]
    legend = LABELS_USED.format(most=used["most_validation"], calibration=used["calibration"])
    return ["### Labels used", filled(legend), table(["label budget", "to train on", "to validate on"], rows, left=())]


def _quality(rows: list[Result]) -> list[str]:
    heading = "### Quality under a linear probe"
    if not rows:
        return [heading, "No protocol of this round is a linear probe."]
    head = ["setting", "protocol", "labels", "z", "95 % interval", "n", "reference", "reached"]
    reached = {None: DASH, True: "yes", False: "no"}
    cells = []
    for row in rows:
        against = [_number(row["pilot"], ".3f"), reached[row["reached"]]]
        cells.append([row["setting"], row["protocol"], f"{row['labels']:,}", *_mean(row, ".3f"), *against])
    return [heading, filled(QUALITY), table(head, cells, left=(0, 1))]


def _protocols(rows: list[Result]) -> list[str]:
    names = list(rows[0]["validation_auc"])
    head = ["setting", "labels", "chosen", *(f"validation AUC, {name}" for name in names), "n", "left out"]
    cells = [
        [row["setting"], f"{row['labels']:,}", row["chosen"] or DASH]
        + [_number(row["validation_auc"][name], ".3f") for name in names]
        + [str(row["n"]), str(row["without"])]
        for row in rows
    ]
    return ["### Protocols chosen", filled(PROTOCOLS), table(head, cells, left=(0, 2))]


def _worth(rows: list[Result], aims: Result) -> list[str]:
    head = ["setting", "labels", "subgroup", "protocol", "that of scratch", "z", "z of scratch"]
    head += ["worth", "95 % interval", "n"]
    cells = []
    for row in rows:
        protocols = [row["protocol"] or DASH, row["of_scratch"] or DASH]
        sides = [_with_error(row["z"]), _with_error(row["z_of_scratch"])]
        place = [row["setting"], f"{row['labels']:,}", row["subgroup"]]
        cells.append([*place, *protocols, *sides, *_mean(row, "+.3f")])
    aim = ["aim", f"{aims['worth_labels']:,}", "every", "", "", "", "", _number(aims["worth"], "+.3f"), "", ""]
    return ["### Worth of pretraining", filled(WORTH), table(head, [*cells, aim], left=(0, 2, 3, 4))]


def _efficiency(rows: list[Result], aims: Result) -> list[str]:
    head = ["setting", "labels", "subgroup", "times the labels", "95 % interval", "n"]
    cells = [
        [row["setting"], f"{row['labels']:,}", row["subgroup"], _ratio(row), _interval(row), str(row["n"])]
        for row in rows
    ]
    aim = ["aim", "", "every", f"{aims['efficiency']:.2f}", "", ""]
    return ["### Label efficiency", filled(EFFICIENCY), table(head, [*cells, aim], left=(0, 2))]


def _mean(row: Result, form: str) -> list[str]:
    bounds = DASH if row["low"] is None else f"[{_number(row['low'], form)}, {_number(row['high'], form)}]"
    return [_number(row["value"], form), bounds, str(row["n"])]


def _with_error(level: Result) -> str:
    error = "" if level["se"] is None else f" +- {_number(level['se'], '.3f')}"
    return _number(level["mean"], ".3f") + error


def _ratio(row: Result) -> str:
    """A ratio of labels, or the bound of what is known of it."""
    value = row["value"]
    if value is None:
        return DASH
    if value == "inf":
        return f"> {_short(row['largest'])}"
    return f"< {_short(row['smallest'])}" if value == 0 else f"{value:.2f}"


def _interval(row: Result) -> str:
    low, high = row["low"], row["high"]
    if low is None or (low == 0 and high == "inf"):
        return DASH
    if high == "inf":
        return f"> {_short(low)}"
    return f"< {_short(high)}" if low == 0 else f"[{low:.2f}, {high:.2f}]"


def _short(bound: float) -> str:
    return f"{bound:,.0f}" if bound >= 100 else f"{bound:.3g}"


def _number(value: float | None, form: str) -> str:
    return DASH if value is None else format(value, form)
