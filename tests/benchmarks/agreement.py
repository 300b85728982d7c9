"""Whether the AUCs of both sides agree: their difference, with its interval over replicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from biasprop.study.study import Study

PROTOCOLS = ("linear_probe", "full")


def both(
    study: Study, store: str, folder: Path, cells: Mapping[str, int], replicates: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Measures of our cube, and of the same cube with PyTorch's scores in place of ours."""
    from biasprop import open_cube
    from biasprop.statistics.measures import measure

    ours = open_cube(store).load()
    theirs = ours.copy(deep=True)
    for label, index in cells.items():
        for replicate in range(replicates):
            with np.load(folder / f"scores-{index}-{replicate}.npz", allow_pickle=False) as arms:
                for name, scores in arms.items():
                    protocol, budget, draw = name.split()
                    at = {"pretraining": label, "labels": int(budget), "protocol": protocol, "replicate": replicate}
                    arm = theirs.score.sel(at).isel(draw=int(draw)).transpose("subgroup", "subject")
                    arm.values[:] = scores  # a view of the cube
    return measure(ours, **study.evaluation.decisions()), measure(theirs, **study.evaluation.decisions())


def differences(ours: xr.Dataset, theirs: xr.Dataset, cells: Sequence[str]) -> list[dict[str, Any]]:
    """Difference of AUC (theirs minus ours) by protocol, pretrained and from scratch.

    Each value is a mean over cells, label budgets, draws and subgroups of a replicate; the t interval is over
    replicates, because the cells of one share subjects and initial weights.
    """
    from biasprop.statistics.intervals import t_interval
    from biasprop.statistics.measures import per_replicate

    found = []
    for protocol in PROTOCOLS:
        for start, labels in (("pretrained", [one for one in cells if one != "scratch"]), ("scratch", ["scratch"])):
            at = {"protocol": protocol, "pretraining": labels}
            aucs = [
                per_replicate(side, "auc").sel(at).mean(("pretraining", "labels", "subgroup"))
                for side in (ours, theirs)
            ]
            own, other = (side.values[np.isfinite(aucs[0].values)] for side in aucs)
            interval = t_interval(other - own)
            row = {"protocol": protocol, "start": start, "ours": float(own.mean()), "theirs": float(other.mean())}
            row |= {"difference": interval.value, "low": interval.low, "high": interval.high, "replicates": len(own)}
            found.append(row)
    return found


def difference_line(row: Mapping[str, Any]) -> str:
    """One difference in words."""
    interval = f"95 % interval {row['low']:+.4f} to {row['high']:+.4f} over {row['replicates']} replicates"
    if row["replicates"] < 2:
        interval = "no interval from one replicate"
    return (
        f"AUC {row['protocol']}, {row['start']}: ours {row['ours']:.3f}, PyTorch {row['theirs']:.3f}, difference "
        f"{row['difference']:+.4f}, {interval}"
    )
