"""Every shift in every stage changes its quantity by the stated amount, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.generators import canvas
from biasprop.keys import Stream
from biasprop.population import rosters
from biasprop.population.shifts import EvaluationShift, Shift
from biasprop.study.conditions import Evaluation, Finetuning, Pretraining, PretrainingCondition
from biasprop.training import adapt, pretrain, pretraining_task, rendering, score
from biasprop.training.batching import Batch, stream
from tests.members import IMAGES, batch, images, latents, member

N = 600
SHIFTED = {
    "prevalence": -1.0,
    "presentation": 0.6,
    "acquisition": 0.7,
    "missed": 0.3,
    "false_alarm": 0.2,
    "marker_healthy": 0.25,
    "marker_diseased": 0.75,
}
"""Shift -> its value for the second of two subgroups."""
STAGES = ("pretraining", "finetuning", "evaluation")
ANNOTATION = ("missed", "false_alarm")


class Rendered(NamedTuple):
    """Images, labels and latents of all subjects of a stage."""

    images: np.ndarray
    subgroup: np.ndarray
    label: np.ndarray
    recorded: np.ndarray
    severity: np.ndarray


def cell_and_conditions(kind: str, where: str, **values: float) -> tuple[Batch, Finetuning, Evaluation]:
    """One cell whose second subgroup has these shifts in one stage, and its conditions."""
    equal, kind_of = {"a": 0.5, "b": 0.5}, dict.fromkeys(STAGES, Shift) | {"evaluation": EvaluationShift}
    own = {name: {"shifts": {"b": kind_of[name](**values)}} if name == where else {} for name in STAGES}
    condition = PretrainingCondition(
        generator=member("generators", kind),
        encoder=member("encoders", "linear"),
        pretraining=Pretraining(shares=equal, **own["pretraining"]),
    )
    finetuning = Finetuning(shares=equal, **own["finetuning"])
    return batch((condition, 0)), finetuning, Evaluation(test=N, selection=N, calibration=20, **own["evaluation"])


@functools.cache
def rendered_stage(kind: str, stage: str, shift: str | None = None, by: float | None = None) -> Rendered:
    """Subjects of a stage with one shift."""
    turned = {} if shift is None else {shift: SHIFTED[shift] if by is None else by}
    one, finetuning, evaluation = cell_and_conditions(kind, stage, **turned)
    generator = one.condition.generator
    severity = generator.latent_names.index("severity")
    if stage == "pretraining":
        condition = jax.tree.map(lambda leaf: leaf[0], one.condition)
        who = pretraining_task.cohort_members(condition, one.key[0], jnp.arange(N))
        drawn = np.asarray(latents(condition.generator, who))[:, severity]
        rest = (np.asarray(who.subgroup), np.asarray(who.label), np.asarray(who.label))
        return Rendered(np.asarray(images(condition.generator, who)), *rest, drawn)
    who = rosters.rosters(finetuning, evaluation, ["a", "b"], 4)
    told = rendering.latents(one, who)
    if stage == "finetuning":
        chunks = rendering.rendered(one, stream(one, Stream.SELECTION), who["selection"])
        pixels = rendering.concatenated([chunk["image"] for chunk in chunks], N)[0]
        roster = who["selection"]
        return Rendered(pixels, roster.subgroup, roster.label, roster.recorded, told.selection[0, severity])
    sets = rendering.render_sets(one, who)
    twins = np.concatenate([rendering.concatenated([part["image"] for part in chunks], N)[0] for chunks in sets.test])
    label = np.tile(who["test"].label, 2)
    judged = rosters.test_labels(evaluation, ["a", "b"])
    recorded = label if judged is None else judged.ravel()
    return Rendered(twins, np.repeat([0, 1], N), label, recorded, told.test[0, severity].ravel())


@pytest.fixture(scope="module", autouse=True)
def release_images() -> Iterator[None]:
    """Release hundreds of megabytes."""
    yield
    rendered_stage.cache_clear()


@jax.jit
def _noise_and_marker(pixels: Any) -> tuple[Any, Any]:
    return jax.vmap(canvas.noise_sd)(pixels), jax.vmap(canvas.marker_contrast)(pixels) > 0.2


def measured(who: Rendered, subgroup: int) -> dict[str, float]:
    """The quantity of each shift in one subgroup; the last three are measured from pixels."""
    inside = (who.subgroup == subgroup) & (who.recorded >= 0)
    ill, well = inside & (who.label == 1), inside & (who.label == 0)
    grain, marked = (np.asarray(values) for values in _noise_and_marker(who.images))
    return {
        "prevalence": who.label[inside].mean(),
        "presentation": who.severity[ill].mean() - who.severity[well].mean(),
        "missed": (who.recorded[ill] == 0).mean(),
        "false_alarm": (who.recorded[well] == 1).mean(),
        "acquisition": np.log(grain[well]).mean(),
        "marker_healthy": marked[well].mean(),
        "marker_diseased": marked[ill].mean(),
    }


every_shift = pytest.mark.parametrize("shift", SHIFTED)
every_stage = pytest.mark.parametrize("stage", STAGES)
every_generator = pytest.mark.parametrize("kind", IMAGES)


@every_shift
@every_stage
@every_generator
def test_a_shift_changes_its_quantity_in_its_subgroup_only(kind: str, stage: str, shift: str) -> None:
    off, on = rendered_stage(kind, stage), rendered_stage(kind, stage, shift)
    for subgroup in (0, 1):
        before, after = measured(off, subgroup), measured(on, subgroup)
        # Another prevalence makes other subjects diseased, and changes the subgroup of positions in exact counts.
        tolerance = 0.08 if shift == "prevalence" else 0.0
        for name in set(before) - ({shift} if subgroup else set()):
            noisy = shift == "acquisition" and name.startswith("marker")  # one image may look marked, or no longer
            assert abs(after[name] - before[name]) <= (0.01 if noisy else tolerance), (subgroup, name)
    own, n = after[shift] - before[shift], np.sum(on.subgroup == 1) / (1 if shift == "prevalence" else 2)
    if shift in ANNOTATION and stage == "pretraining":
        assert own == 0  # labels are not used there
    elif shift == "presentation":
        assert own == pytest.approx(SHIFTED[shift], abs=1e-4)
    elif shift == "acquisition":
        assert own > 0.2  # the amount is tested below
    else:
        rate = 1 / (1 + np.exp(1.0)) if shift == "prevalence" else SHIFTED[shift]
        drawn = stage == "pretraining" or shift.startswith("marker")
        interval = 3.3 * np.sqrt(rate * (1 - rate) / n) if drawn else 4 / n
        assert after[shift] == pytest.approx(rate, abs=interval) and abs(own) > 0.1


@every_generator
def test_noise_grows_by_the_stated_factor(kind: str) -> None:
    """Variances are compared, so that the contribution of anatomy cancels."""
    half, whole = SHIFTED["acquisition"] / 2, SHIFTED["acquisition"]
    stages = (
        rendered_stage(kind, "pretraining"),
        *(rendered_stage(kind, "pretraining", "acquisition", by) for by in (half, whole)),
    )
    zero, one, two = (np.mean(np.asarray(_noise_and_marker(w.images)[0])[w.subgroup == 1] ** 2) for w in stages)
    expected = np.expm1(2 * half) / np.expm1(2 * whole)
    rician = kind == "brain_mri"  # the variance of a magnitude depends on the ratio of signal and noise
    assert (one - zero) / (two - zero) == pytest.approx(expected, rel=0.2 if rician else 0.1)


@every_generator
def test_a_shift_changes_only_its_pixels(kind: str) -> None:
    off = rendered_stage(kind, "pretraining")
    size = off.images.shape[1]
    place = np.broadcast_to(
        np.asarray(canvas.draw_marker(jnp.zeros((size, size)), jnp.int32(1), 1.0)) > 0, (size, size)
    )
    for shift in SHIFTED:
        on = rendered_stage(kind, "pretraining", shift)
        changed = (on.images != off.images).any(axis=-1)
        assert not changed[off.subgroup == 0].any(), (shift, "the other subgroup")
        if shift in ANNOTATION:
            assert not changed.any(), "annotation must leave pixels alone"
            continue
        assert changed.any()
        if shift == "presentation":
            assert not changed[off.label == 0].any()
        if shift.startswith("marker"):
            assert not changed[:, ~place].any() and not changed[off.label != (shift == "marker_diseased")].any()
        if shift == "prevalence":
            flipped = on.label != off.label
            assert not changed[~flipped].any() and changed[flipped].any(axis=(1, 2)).all()


@every_shift
@pytest.mark.parametrize("stage", STAGES)
def test_a_larger_shift_changes_subjects_one_way(stage: str, shift: str) -> None:
    none, half, whole = (rendered_stage("gaussian", stage, shift, part * SHIFTED[shift]) for part in (0.0, 0.5, 1.0))
    if shift in ANNOTATION:
        wrong = [who.recorded != who.label for who in (none, half, whole)]
        assert not wrong[0].any() and np.all(wrong[2] >= wrong[1])
    elif shift.startswith("marker"):
        there = [np.asarray(_noise_and_marker(who.images)[1]) for who in (none, half, whole)]
        assert not there[0].any() and np.all(there[2] >= there[1])
    elif shift == "prevalence" and stage == "pretraining":
        assert np.all(whole.label <= half.label) and np.all(half.label <= none.label)
    elif shift == "prevalence" and stage == "evaluation":
        assert np.all(whole.label == none.label), "twins share the true label"
        assert np.all((whole.recorded >= 0) <= (half.recorded >= 0)) and np.all(none.recorded >= 0)


@every_generator
def test_shifts_of_0_are_no_shifts(kind: str) -> None:
    zero = rendered_stage(kind, "pretraining")
    one, *_ = cell_and_conditions(kind, "nowhere")
    condition = jax.tree.map(lambda leaf: leaf[0], one.condition)
    assert condition.pretraining.shifts == {} and "shifts" not in Evaluation().model_dump()
    who = pretraining_task.cohort_members(condition, one.key[0], jnp.arange(N))
    assert who.presentation is None and who.noise is None and who.marker is None
    assert np.array_equal(who.label, zero.label) and np.array_equal(who.subgroup, zero.subgroup)
    assert np.allclose(images(condition.generator, who), zero.images, atol=1e-5)


def test_twins_have_the_same_true_label() -> None:
    """Shifts of the second subgroup do not change the true labels of its twins."""
    for shift in SHIFTED:
        one, other = np.split(rendered_stage("gaussian", "evaluation", shift).label, 2)
        assert np.array_equal(one, other), shift


def test_training_uses_recorded_labels_and_never_true_ones() -> None:
    one, finetuning, evaluation = cell_and_conditions("gaussian", "finetuning", missed=0.5)
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
