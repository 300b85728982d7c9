"""What the comparison with PyTorch computes without PyTorch: shortened studies, differences, minutes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from biasprop.status import Status
from biasprop.study import design
from biasprop.study.load import load_study
from tests.benchmarks import agreement, images, same_interval
from tests.benchmarks.side_by_side import overrides

STUDY = Path("studies/skin_tone.toml")


def schedules(words: tuple[str, ...] = ()) -> dict[str, Any]:
    study = load_study(STUDY, words)
    full = next(
        arm.condition.finetuning.protocol
        for _, arm in design.arms(study)
        if arm.condition.finetuning.protocol.kind == "full"
    )
    return {"pretraining": study.pretraining.schedule, "pretrained": full.pretrained, "scratch": full.scratch}


def test_a_shortened_study_differs_in_steps_alone() -> None:
    whole, short = schedules(), schedules(tuple(overrides(STUDY, 0.5)))
    assert schedules(tuple(overrides(STUDY, 1))) == whole
    assert short["pretraining"].steps == images.whole_segments(whole["pretraining"].steps, 0.5)
    same = {"steps": whole["pretraining"].steps}
    assert short["pretraining"].model_copy(update=same) == whole["pretraining"]
    for name in ("pretrained", "scratch"):
        now, before = short[name].model_dump(), whole[name].model_dump()
        assert now["schedule"].pop("steps") < before["schedule"].pop("steps")
        assert now["stopping"].pop("patience") < before["stopping"].pop("patience")
        for table in (now["stopping"], before["stopping"]):
            del table["shortest"], table["fixed_steps"]
        assert now == before


def test_the_plain_recipe_takes_nothing_from_the_study() -> None:
    for schedule in images.PLAIN.values():
        assert schedule.model_fields_set == set(type(schedule).model_fields)
        assert schedule.optimiser.kind == "adamw"


def measures(auc: float) -> xr.Dataset:
    """AUCs of two replicates, the third open."""
    coords = {"pretraining": ["a", "b", "scratch"], "labels": [8, 16], "protocol": list(agreement.PROTOCOLS)}
    dims = (*coords, "replicate", "draw")
    shape = (3, 2, 2, 3, 1)
    status = np.full(shape, Status.OK)
    status[:, :, :, 2] = Status.OPEN
    values = np.where(status == Status.OK, auc, np.nan)[..., None] + 0.01 * np.arange(3)[:, None, None]
    return xr.Dataset({"status": (dims, status), "auc": ((*dims, "subgroup"), values)}, coords)


def test_differences_have_an_interval_over_replicates() -> None:
    rows = agreement.differences(measures(0.7), measures(0.75), ["a", "b", "scratch"])
    assert [(row["protocol"], row["start"]) for row in rows] == [
        (protocol, start) for protocol in agreement.PROTOCOLS for start in ("pretrained", "scratch")
    ]
    for row in rows:
        assert row["replicates"] == 2
        assert row["difference"] == pytest.approx(0.05) and row["low"] == pytest.approx(0.05)
        assert "over 2 replicates" in agreement.difference_line(row)


def compared(sds: tuple[float, float] | None, values: dict[str, np.ndarray], monkeypatch: Any) -> Any:
    monkeypatch.setattr(same_interval, "contrast", lambda study, side: values[side])
    timed = {"ours": [("pretrained", 10.0), ("pretrained", 14.0), ("scratch", 6.0)]}
    timed["theirs"] = [("pretrained", 20.0), ("scratch", 12.0)]
    study: Any = SimpleNamespace(replicates=20)
    sides: Any = {"ours": "ours", "theirs": "theirs"}
    return same_interval.compare(study, ["a", "b", "c", "scratch"], timed, sides, 8.0, sds, 2)


def test_minutes_to_the_same_interval(monkeypatch: Any) -> None:
    values = {"ours": np.array([0.1, 0.3]), "theirs": np.array([0.2, 0.4])}
    same = compared(None, values, monkeypatch)
    assert same["ours"]["minutes"] == pytest.approx((3 * 12 + 6) * 20 / 2 / 60)
    assert same["theirs"]["minutes"] == pytest.approx((3 * 20 + 12 + 8) * 20 / 2 / 60)
    wider = compared((0.1, 0.2), values, monkeypatch)
    assert 70 < wider["theirs"]["replicates"] < 80, "about four times as many, less what Student's t gives back"
    assert "sd as given" in "\n".join(same_interval.table(wider, 0.5))
    assert compared(None, {side: one[:1] for side, one in values.items()}, monkeypatch) is None
