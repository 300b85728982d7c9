"""Every dial in every stage moves what it is for, by as much as it says, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.generators import GENERATORS, canvas
from biasprop.keys import Stream
from biasprop.population import rosters
from biasprop.population.shifts import Shift
from biasprop.study.conditions import Evaluation, Finetuning, Pretraining, PretrainingCondition
from biasprop.training import adapt, pretrain, pretraining_task, rendering, score
from biasprop.training.batching import Batch, stream
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
        who = pretraining_task.cohort_members(condition, one.key[0], jnp.arange(N))
        drawn = np.asarray(latents(condition.generator, who))[:, severity]
        rest = (np.asarray(who.subgroup), np.asarray(who.label), np.asarray(who.label))
        return Seen(np.asarray(images(condition.generator, who)), *rest, drawn)
    who = rosters.rosters(finetuning, evaluation, ["a", "b"], 4)
    told = rendering.latents(one, who)
    if stage == "finetuning":
        pixels = rendering.concatenated(rendering.rendered(one, stream(one, Stream.SELECTION), who["selection"]), N)[0]
        roster = who["selection"]
        return Seen(pixels, roster.subgroup, roster.label, roster.recorded, told.selection[0, severity])
    sets = rendering.render_sets(one, who)
    twins = np.concatenate([rendering.concatenated(chunks, N)[0] for chunks in sets.test])
    label = np.tile(who["test"].label, 2)
    judged = rosters.test_labels(evaluation, ["a", "b"])
    recorded = label if judged is None else judged.ravel()
    return Seen(twins, np.repeat([0, 1], N), label, recorded, told.test[0, severity].ravel())


@pytest.fixture(scope="module", autouse=True)
def forgotten_images() -> Iterator[None]:
    """Hundreds of megabytes that nobody else needs."""
    yield
    seen.cache_clear()


@jax.jit
def _read(pixels: Any) -> tuple[Any, Any]:
    return jax.vmap(canvas.noise_sd)(pixels), jax.vmap(canvas.marker_contrast)(pixels) > 0.2


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
    own, n = after[dial] - before[dial], np.sum(on.subgroup == 1) / (1 if dial == "prevalence" else 2)
    if dial in ANNOTATION and stage == "pretraining":
        assert own == 0  # nobody reads a label there
    elif dial == "presentation":
        assert own == pytest.approx(MOVED[dial], abs=1e-4)
    elif dial == "acquisition":
        assert own > 0.2  # by how much: see the next test
    else:
        rate = 1 / (1 + np.exp(1.0)) if dial == "prevalence" else MOVED[dial]
        drawn = stage == "pretraining" or dial.startswith("marker")
        interval = 3.3 * np.sqrt(rate * (1 - rate) / n) if drawn else 4 / n
        assert after[dial] == pytest.approx(rate, abs=interval) and abs(own) > 0.1


@each_kind
def test_noise_grows_by_as_much_as_the_dial_says(kind: str) -> None:
    """In squares, so that what anatomy adds to the reading cancels."""
    half, whole = MOVED["acquisition"] / 2, MOVED["acquisition"]
    worlds = (seen(kind, "pretraining"), *(seen(kind, "pretraining", "acquisition", by) for by in (half, whole)))
    zero, one, two = (np.mean(np.asarray(_read(w.images)[0])[w.subgroup == 1] ** 2) for w in worlds)
    assert (one - zero) / (two - zero) == pytest.approx(np.expm1(2 * half) / np.expm1(2 * whole), rel=0.1)


@each_kind
def test_pixels_change_only_where_a_dial_reaches(kind: str) -> None:
    off = seen(kind, "pretraining")
    size = off.images.shape[1]
    place = np.broadcast_to(
        np.asarray(canvas.draw_marker(jnp.zeros((size, size)), jnp.int32(1), 1.0)) > 0, (size, size)
    )
    for dial in MOVED:
        on = seen(kind, "pretraining", dial)
        changed = (on.images != off.images).any(axis=-1)
        assert not changed[off.subgroup == 0].any(), (dial, "the other subgroup")
        if dial in ANNOTATION:
            assert not changed.any(), "annotation must leave pixels alone"
            continue
        assert changed.any()
        if dial == "presentation":
            assert not changed[off.label == 0].any()
        if dial.startswith("marker"):
            assert not changed[:, ~place].any() and not changed[off.label != (dial == "marker_diseased")].any()
        if dial == "prevalence":
            flipped = on.label != off.label
            assert not changed[~flipped].any() and changed[flipped].any(axis=(1, 2)).all()


@each_dial
@pytest.mark.parametrize("stage", STAGES)
def test_turning_a_dial_further_moves_subjects_one_way(stage: str, dial: str) -> None:
    none, half, whole = (seen("gaussian", stage, dial, part * MOVED[dial]) for part in (0.0, 0.5, 1.0))
    if dial in ANNOTATION:
        wrong = [who.recorded != who.label for who in (none, half, whole)]
        assert not wrong[0].any() and np.all(wrong[2] >= wrong[1])
    elif dial.startswith("marker"):
        there = [np.asarray(_read(who.images)[1]) for who in (none, half, whole)]
        assert not there[0].any() and np.all(there[2] >= there[1])
    elif dial == "prevalence" and stage == "pretraining":
        assert np.all(whole.label <= half.label) and np.all(half.label <= none.label)
    elif dial == "prevalence" and stage == "evaluation":
        assert np.all(whole.label == none.label), "disease is a subject's own"
        assert np.all((whole.recorded >= 0) <= (half.recorded >= 0)) and np.all(none.recorded >= 0)


@each_kind
def test_dials_at_0_are_no_dials(kind: str) -> None:
    zero = seen(kind, "pretraining")
    one, *_ = world(kind, "nowhere")
    condition = jax.tree.map(lambda leaf: leaf[0], one.condition)
    assert condition.pretraining.shifts == {} and "shifts" not in Evaluation().model_dump()
    who = pretraining_task.cohort_members(condition, one.key[0], jnp.arange(N))
    assert who.presentation is None and who.noise is None and who.marker is None
    assert np.array_equal(who.label, zero.label) and np.array_equal(who.subgroup, zero.subgroup)
    assert np.allclose(images(condition.generator, who), zero.images, atol=1e-5)


def test_twins_have_what_their_subgroup_brings_and_share_the_rest() -> None:
    """The second subgroup's twins are diseased as the first's are, whatever is done to the second."""
    for dial in MOVED:
        one, other = np.split(seen("gaussian", "evaluation", dial).label, 2)
        assert np.array_equal(one, other), dial


def test_wrong_records_are_what_is_learned_and_the_truth_is_what_is_kept() -> None:
    one, finetuning, evaluation = world("gaussian", "finetuning", missed=0.5)
    brief = finetuning.model_copy(update={"labels": 60, "protocol": member("protocols", "linear_probe")})
    small = evaluation.model_copy(update={"test": 40, "selection": 40, "calibration": 40})
    params = pretrain.untrained(one)["encoder"]
    scores = {}
    for name in ("wrong", "right", "truth hidden"):
        who = rosters.rosters(brief, small, ["a", "b"], 60)
        assert not np.array_equal(who["train"].recorded, who["train"].label)
        assert np.array_equal(who["calibration"].recorded, who["calibration"].label)
        finetuner = adapt.Finetuner(one, params, who, small)
        for learned in ("train", "selection"):
            roster = who[learned]
            if name == "right":
                finetuner.rosters[learned] = roster._replace(recorded=roster.label)
            elif name == "truth hidden":
                finetuner.rosters[learned] = roster._replace(label=1 - roster.label)
        scores[name] = (
            score.Scorer(one, params, finetuner.rosters, finetuner.sets)
            .score(finetuner.adapt(brief, 0, lambda *_: None))
            .test
        )
    assert np.array_equal(scores["wrong"], scores["truth hidden"])
    assert not np.array_equal(scores["wrong"], scores["right"])
