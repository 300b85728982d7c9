"""Every dial in every stage moves what it is for, by as much as it says, and nothing else."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import program, subjects
from biasprop.batching import Batch, stream
from biasprop.condition import Evaluation, Finetuning, Pretraining, PretrainingCondition
from biasprop.generators import GENERATORS, canvas
from biasprop.keys import Stream
from biasprop.shifts import Shift
from tests.members import batch, images, latents, member

N = 600
MOVED = {
    "prevalence": -1.0,
    "presentation": 0.6,
    "acquisition": 0.7,
    "missed": 0.3,
    "false_alarm": 0.2,
    "marker_healthy": 0.25,
    "marker_diseased": 0.75,
}
"""Dial -> how far it is turned for the second of two subgroups."""
STAGES = ("pretraining", "finetuning", "evaluation")
ANNOTATION = ("missed", "false_alarm")


class Seen(NamedTuple):
    """Everyone in a stage, as rendered and as recorded."""

    images: np.ndarray
    subgroup: np.ndarray
    label: np.ndarray
    recorded: np.ndarray
    severity: np.ndarray


def world(kind: str, where: str, **dials: float) -> tuple[Batch, Finetuning, Evaluation]:
    """One cell whose second subgroup has these dials in one stage."""
    equal, shifts = {"a": 0.5, "b": 0.5}, {"b": Shift(**dials)}
    own = {name: {"shifts": shifts} if name == where else {} for name in STAGES}
    condition = PretrainingCondition(
        generator=member("generators", kind),
        encoder=member("encoders", "linear"),
        pretraining=Pretraining(shares=equal, **own["pretraining"]),
    )
    finetuning = Finetuning(shares=equal, **own["finetuning"])
    return batch((condition, 0)), finetuning, Evaluation(test=N, selection=N, calibration=20, **own["evaluation"])


@functools.cache
def seen(kind: str, stage: str, dial: str | None = None, by: float | None = None) -> Seen:
    """Who is in a stage with one dial turned."""
    turned = {} if dial is None else {dial: MOVED[dial] if by is None else by}
    one, finetuning, evaluation = world(kind, stage, **turned)
    generator = one.condition.generator
    severity = generator.latent_names.index("severity")
    if stage == "pretraining":
        condition = jax.tree.map(lambda leaf: leaf[0], one.condition)
        who = program.cohort_members(condition, one.key[0], jnp.arange(N))
        drawn = np.asarray(latents(condition.generator, who))[:, severity]
        rest = (np.asarray(who.subgroup), np.asarray(who.label), np.asarray(who.label))
        return Seen(np.asarray(images(condition.generator, who)), *rest, drawn)
    who = subjects.rosters(finetuning, evaluation, ["a", "b"], 4)
    told = subjects.latents(one, who)
    if stage == "finetuning":
        pixels = subjects.joined(subjects.rendered(one, stream(one, Stream.SELECTION), who["selection"]), N)[0]
        roster = who["selection"]
        return Seen(pixels, roster.subgroup, roster.label, roster.recorded, told.selection[0, severity])
    sets = subjects.render_sets(one, who)
    twins = np.concatenate([subjects.joined(chunks, N)[0] for chunks in sets.test])
    label = np.tile(who["test"].label, 2)
    judged = subjects.judged(evaluation, ["a", "b"])
    recorded = label if judged is None else judged.ravel()
    return Seen(twins, np.repeat([0, 1], N), label, recorded, told.test[0, severity].ravel())


@jax.jit
def _read(pixels: Any) -> tuple[Any, Any]:
    return jax.vmap(canvas.grain)(pixels), jax.vmap(canvas.marked)(pixels) > 0.2


def measured(who: Seen, subgroup: int) -> dict[str, float]:
    """What each dial is for, in one subgroup; the last four read from pixels."""
    inside = (who.subgroup == subgroup) & (who.recorded >= 0)
    ill, well = inside & (who.label == 1), inside & (who.label == 0)
    grain, marked = (np.asarray(values) for values in _read(who.images))
    return {
        "prevalence": who.label[inside].mean(),
        "presentation": who.severity[ill].mean() - who.severity[well].mean(),
        "missed": (who.recorded[ill] == 0).mean(),
        "false_alarm": (who.recorded[well] == 1).mean(),
        "acquisition": np.log(grain[well]).mean(),
        "marker_healthy": marked[well].mean(),
        "marker_diseased": marked[ill].mean(),
    }


each_dial = pytest.mark.parametrize("dial", MOVED)
each_stage = pytest.mark.parametrize("stage", STAGES)
each_kind = pytest.mark.parametrize("kind", GENERATORS)


@each_dial
@each_stage
@each_kind
def test_a_dial_moves_its_quantity_in_its_subgroup_and_no_other(kind: str, stage: str, dial: str) -> None:
    off, on = seen(kind, stage), seen(kind, stage, dial)
    for subgroup in (0, 1):
        before, after = measured(off, subgroup), measured(on, subgroup)
        # Other people are diseased under another prevalence, and in exact counts others stand in a subgroup's places.
        tolerance = 0.08 if dial == "prevalence" else 0.0
        for name in set(before) - ({dial} if subgroup else set()):
            assert abs(after[name] - before[name]) <= tolerance, (subgroup, name)
        if subgroup:
            n = np.sum(on.subgroup == 1) / 2
            expected = {
                "prevalence": 1 / (1 + np.exp(1.0)),
                "presentation": before["presentation"] + MOVED["presentation"],
                "acquisition": after["acquisition"],
            }.get(dial, MOVED[dial])
            exact = stage != "pretraining" and not dial.startswith("marker")
            interval = 4 / n if exact else 3.3 * np.sqrt(expected * (1 - expected) / n) if expected < 1 else 1e-4
            assert abs(after[dial] - expected) < interval, (before[dial], after[dial])
            assert abs(after[dial] - before[dial]) > 0.1


@each_kind
def test_noise_grows_by_as_much_as_the_dial_says(kind: str) -> None:
    """In squares, so that what anatomy adds to the reading cancels."""
    half, whole = MOVED["acquisition"] / 2, MOVED["acquisition"]
    worlds = (seen(kind, "pretraining"), *(seen(kind, "pretraining", "acquisition", by) for by in (half, whole)))
    zero, one, two = (np.mean(np.asarray(_read(w.images)[0])[w.subgroup == 1] ** 2) for w in worlds)
    assert (one - zero) / (two - zero) == pytest.approx(np.expm1(2 * half) / np.expm1(2 * whole), rel=0.1)
