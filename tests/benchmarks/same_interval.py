"""Minutes that either side needs to the same interval of the study's primary contrast.

Measured: computing seconds of cells, and the sd of the contrast over replicates. Computed from them: replicates until
the 95 % interval is as narrow as ours after the study's replicates, and minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.study.study import Study

SIDES = {"ours": "ours", "theirs": "PyTorch"}
"""Key in records, and name in tables."""

Timed = tuple[str, float]
"""``pretrained`` or ``scratch``, and computing seconds of a cell."""


def timed_cells(store: str) -> list[Timed]:
    """The cells of a run of ours; those of one batch share its seconds."""
    events = [json.loads(line) for line in (Path(store) / "events.jsonl").read_text().splitlines()]
    found = []
    for event in (event for event in events if event["event"] == "cells"):
        names = sorted(set(event["cells"]))
        share = sum(event["seconds"].values()) / len(names)
        found += [("scratch" if name.startswith("scratch,") else "pretrained", share) for name in names]
    return found


def seconds_per_replicate(timed: Sequence[Timed], cells: Sequence[str], extra: float = 0.0) -> float | None:
    """Computing seconds of a replicate: mean of each kind of cell times its number; None if a kind was not timed.

    Args:
        timed: the cells that ran.
        cells: labels of all cells of a replicate.
        extra: seconds that a replicate costs beside.
    """
    total, scratch = extra, sum(label == "scratch" for label in cells)
    for kind, count in (("pretrained", len(cells) - scratch), ("scratch", scratch)):
        each = [seconds for one, seconds in timed if one == kind]
        if count and not each:
            return None
        total += count * float(np.mean(each)) if count else 0.0
    return total


def contrast(study: Study, measures: xr.Dataset) -> NDArray[np.float64]:
    """The study's primary estimand in every replicate that has it."""
    from biasprop.statistics.paired import paired

    primary = next(one for one in study.estimands if one.primary)
    found = paired(measures, primary)[0]
    if found.denominator is not None or found.values.ndim != 1:
        raise SystemExit(f"{primary.name}: minutes to the same interval need a contrast with an sd over replicates")
    return found.values[np.isfinite(found.values)]


def compare(
    study: Study,
    cells: Sequence[str],
    timed: Mapping[str, Sequence[Timed]],
    measures: Mapping[str, xr.Dataset],
    rendering: float,
    sds: Sequence[float] | None,
    processes: int,
) -> dict[str, Any] | None:
    """Seconds, contrast, replicates and minutes of either side; None where a kind of cell was not timed, or no sd is
    known.

    Args:
        study: all of it.
        cells: labels of all cells of a replicate of it.
        timed: side -> the cells that ran.
        measures: side -> measures of what ran.
        rendering: seconds of PyTorch's images of a replicate.
        sds: of the contrast, ours and theirs; None: of the replicates that ran.
        processes: that share the computing.
    """
    from scipy.stats import t

    from biasprop.statistics.tests import fewest

    def half_width(sd: float, n: int) -> float:
        return float(t.ppf(0.975, n - 1)) * sd / n**0.5

    seconds = {
        "ours": seconds_per_replicate(timed["ours"], cells),
        "theirs": seconds_per_replicate(timed["theirs"], cells, rendering),
    }
    contrasts = {side: contrast(study, measures[side]) for side in SIDES}
    replicates = study.replicates
    ran = min(len(values) for values in contrasts.values())
    source = "as given" if sds else f"of {ran} replicates"
    sds = sds or [float(np.std(contrasts[side], ddof=1)) if ran > 1 else 0.0 for side in SIDES]
    if min(sds) <= 0 or replicates < 2:
        return None
    wanted = half_width(sds[0], replicates)
    found: dict[str, Any] = {"half_width": wanted, "processes": processes, "sd": source}
    for side, sd in zip(SIDES, sds, strict=True):
        spent, mean = seconds[side], float(np.mean(contrasts[side])) if ran else None
        n = replicates if side == "ours" else fewest(lambda m, sd=sd: half_width(sd, m) <= wanted * (1 + 1e-9))
        if spent is None or n is None:
            return None
        row = {"seconds": spent, "mean": mean, "sd": sd, "replicates": n, "minutes": spent * n / processes / 60}
        found[side] = row
    return found


def table(found: Mapping[str, Any], steps: float) -> list[str]:
    """The comparison in lines, with what is measured and what is computed."""
    own, other = found["ours"], found["theirs"]
    lines = [
        f"minutes to a 95 % interval of +- {found['half_width']:.3f} of the primary contrast"
        + (f", with {steps:.3g} of all steps" if steps != 1 else ""),
        f"{'':<9}{'s per replicate':>16}{'contrast':>10}{'sd':>8}{'replicates':>12}{'minutes':>9}",
    ]
    for side, name in SIDES.items():
        row = found[side]
        mean = "" if row["mean"] is None else f"{row['mean']:+.3f}"
        lines.append(
            f"{name:<9}{row['seconds']:>16.1f}{mean:>10}{row['sd']:>8.3f}{row['replicates']:>12}{row['minutes']:>9.1f}"
        )
    return [
        *lines,
        f"ratio {other['minutes'] / own['minutes']:.2f}: {other['seconds'] / own['seconds']:.2f} in computing, "
        f"{other['replicates'] / own['replicates']:.2f} in replicates",
        f"measured: computing seconds of the cells that ran, and contrast; sd {found['sd']}",
        "computed: seconds of a replicate (mean of each kind of cell, times its number), replicates of the other side "
        f"(Student's t), minutes of {found['processes']} processes without start-up",
    ]
