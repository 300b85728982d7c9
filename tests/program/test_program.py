"""The whole experiment: reproducibility, independence of cells in a batch, shared subjects, one compiled program."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.nn import optimisation
from biasprop.objectives import OBJECTIVES
from biasprop.population import rosters
from biasprop.protocols import PROTOCOLS
from biasprop.training import adapt, pretraining_task, rendering, score
from biasprop.training import pretrain as stages
from biasprop.training.batching import Batch, over_cells
from tests.members import batch, compiled, condition, member, one_of_each, same
from tests.program.small_experiment import (
    BRIEF,
    EVALUATION,
    POOL,
    finetuner,
    finetuning,
    numbers,
    pretrain,
    quiet,
    scorer,
    scores,
    small_rosters,
)

MIXES = [(1.0, 0.0), (0.9, 0.1), (0.5, 0.5), (0.0, 1.0)]


def cell(tree: Any, i: int) -> Any:
    """Result of one cell of a batch."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[i], tree)


def close(a: Any, b: Any, atol: float = 1e-4) -> bool:
    """Whether two trees are equal within a tolerance."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(one, other, atol=atol, rtol=1e-4) for one, other in pairs)


@pytest.fixture(scope="module")
def one() -> Batch:
    """A single cell."""
    return batch((condition(), 0))


@pytest.fixture(scope="module")
def encoder(one: Batch) -> Any:
    """Its encoder parameters."""
    return pretrain(one)


@pytest.mark.parametrize("kind", one_of_each(OBJECTIVES, lambda cls: getattr(cls, "trains", True)))
def test_pretraining_is_reproducible(kind: str) -> None:
    first, second, other = (batch((condition(kind), replicate)) for replicate in (0, 0, 1))
    params = pretrain(first)
    assert same(params, pretrain(second))
    assert not same(params, pretrain(other))
    moved = not same(params, stages.untrained(first)["encoder"])
    assert moved == getattr(OBJECTIVES[kind], "trains", True)


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_finetuning_gives_the_same_bits_in_any_order(kind: str, one: Batch, encoder: Any) -> None:
    before = jax.tree.map(np.array, encoder)
    straight = scores(finetuner(one, encoder), kind)
    again = finetuner(one, encoder)
    for other in PROTOCOLS:
        scores(again, other, labels=8)
    assert same(numbers(straight), numbers(scores(again, kind)))
    assert same(before, encoder), "adapting changed the pretrained encoder"
    assert len(straight) == 2 and not same(straight[0].test, straight[1].test), "two draws label the same subjects"


@pytest.mark.slow
def test_a_mixer_runs_through_the_whole_pipeline() -> None:
    encoder = member("encoders", "mixer")
    cells = [(condition("denoising", (share, 1 - share), encoder=encoder), 0) for share in (0.9, 0.1)]
    params, alone = pretrain(batch(*cells)), pretrain(batch(cells[1]))
    both = finetuner(batch(*cells), params)
    single = scorer(finetuner(batch(cells[1]), alone)).features(alone)
    assert close(cell(scorer(both).features(params), 1).test, cell(single, 0).test)
    for kind in ("linear_probe", "low_rank"):
        assert all(np.isfinite(values).all() for values in numbers(scores(both, kind)[:1])), kind


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_scores_have_the_declared_shapes(kind: str, one: Batch, encoder: Any) -> None:
    draw = scores(finetuner(one, encoder), kind, labels=20)[0]
    assert draw.test.shape == draw.separability.shape == (1, 2, EVALUATION.test)
    assert draw.selection.shape == (1, EVALUATION.selection) and draw.calibration.shape == (1, EVALUATION.calibration)
    assert draw.train.shape[1] == 16 and draw.selection_count == 4, "both are part of the label budget"
    assert all(np.isfinite(values).all() for values in numbers([draw]))
    assert draw.diverged == [""] and not draw.unusable(0)


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_labels_and_images_beyond_the_budget_cannot_change_anything(kind: str, one: Batch, encoder: Any) -> None:
    labels, counts = 10, {"train": 8, "selection": 2}
    plain, spoilt = finetuner(one, encoder), finetuner(one, encoder)
    plain_scores = scores(plain, kind, labels)
    for name, count in counts.items():
        roster, chunks = spoilt.rosters[name], getattr(spoilt.sets, name)
        recorded = roster.recorded.copy()
        recorded[count:] = 1 - recorded[count:]
        spoilt.rosters[name] = roster._replace(recorded=recorded)
        chunks[0] = jax.tree.map(lambda array, count=count: array.at[:, count:].set(7.0), chunks[0])
        chunks[1:] = [jax.tree.map(lambda array: jnp.full_like(array, 7.0), chunk) for chunk in chunks[1:]]
    spoilt_scores = scores(spoilt, kind, labels)
    for draw, other in zip(plain_scores[:1], spoilt_scores[:1], strict=True):
        assert same(draw.test, other.test) and same(draw.calibration, other.calibration)
        seen = counts["selection"]
        assert same(draw.selection[:, :seen], other.selection[:, :seen])
    assert not same(plain_scores[0].test, scores(plain, kind, 20)[0].test), "the budget makes no difference"


@pytest.fixture(scope="module")
def pair() -> tuple[list[tuple[Any, int]], Batch, Any]:
    """Two different cells, the batch of both, and its encoders."""
    cells = [(condition(shares=(0.9, 0.1)), 0), (condition(shares=(0.1, 0.9), learning_rate=1e-3), 1)]
    together = batch(*cells)
    return cells, together, pretrain(together)


def test_pretraining_a_cell_alone_equals_pretraining_it_in_a_batch(pair: Any) -> None:
    cells, together, params = pair
    alone = [pretrain(batch(one)) for one in cells]
    both = finetuner(together, params)
    # Features, not parameters: rounding changes parameters without effect, such as the bias of attention keys.
    features = scorer(both).features(params)
    for i in (0, 1):
        single = scorer(finetuner(batch(cells[i]), alone[i])).features(alone[i])
        mine, batched = cell(single, 0), cell(features, i)
        assert close((mine.calibration, mine.test), (batched.calibration, batched.test))
        # Probe of 24 nearly separable subjects: at a flat minimum, rounding of 1e-6 changes log-odds by 2e-3.
        assert close(mine.separability, batched.separability, atol=1e-2)
    assert not close(cell(features, 0), cell(features, 1), atol=1e-2)


@pytest.mark.parametrize("kind", one_of_each(PROTOCOLS, lambda cls: cls.adapts_encoder))
def test_finetuning_a_cell_alone_equals_finetuning_it_in_a_batch(kind: str, pair: Any) -> None:
    cells, together, params = pair
    side_by_side = scores(finetuner(together, params), kind)[0]
    for i in (0, 1):
        # From the same encoder, so that only the rounding of this stage matters.
        own = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], params)
        single = scores(finetuner(batch(cells[i]), own), kind)[0]
        for name in ("test", "selection", "calibration"):
            mine, batched = getattr(single, name)[0], getattr(side_by_side, name)[i]
            assert np.allclose(mine, batched, atol=1e-3, rtol=1e-3), (kind, name)


def images_of(chunks: Any, n: int) -> np.ndarray:
    """The images of a set of subjects: [w, n, h, w, c]."""
    return rendering.concatenated([chunk["image"] for chunk in chunks], n)


def test_subjects_are_the_same_for_every_condition() -> None:
    other = condition("masked", shares=(1.0, 0.0), cohort=32, steps=9)
    sets = [rendering.render_sets(batch((one, 0)), small_rosters()) for one in (condition(), other)]
    assert same(*sets)
    assert not same(sets[0].test, rendering.render_sets(batch((condition(), 1)), small_rosters()).test)
    assert len(sets[0].test) == 2, "one rendering of the test subjects for each subgroup"
    who = small_rosters()
    apart = [(getattr(sets[0], name), len(who[name].label)) for name in ("train", "selection", "calibration")]
    apart.append((sets[0].test[0], EVALUATION.test))
    everyone = np.concatenate([images_of(chunks, n)[0].reshape(n, -1) for chunks, n in apart])
    assert len(everyone) == POOL + EVALUATION.selection + EVALUATION.calibration + EVALUATION.test
    assert len(np.unique(everyone.round(4), axis=0)) == len(everyone), "a subject is in two sets"


def test_a_larger_label_budget_keeps_the_subjects_of_a_smaller_one() -> None:
    small, large = (
        rosters.rosters(finetuning("linear_probe"), EVALUATION, ["a", "b"], pool) for pool in (POOL, 2 * POOL)
    )
    one = batch((condition(), 0))
    images = [images_of(rendering.render_sets(one, who).train, POOL) for who in (small, large)]
    assert same(*images), "a larger label budget changed the subjects of a smaller one"


def test_cohorts_of_two_mixes_have_the_same_subjects() -> None:
    key, rows = batch((condition(), 0)).key[0], jnp.arange(64)
    cohorts = [pretraining_task.cohort_members(condition(shares=shares), key, rows) for shares in MIXES]
    for cohort in cohorts[1:]:
        assert same(jax.random.key_data(cohort.key), jax.random.key_data(cohorts[0].key))
        assert same(cohort.label, cohorts[0].label)
    subgroups = np.stack([np.asarray(cohort.subgroup) for cohort in cohorts])
    assert np.all(np.diff(subgroups, axis=0) >= 0)


def test_test_subjects_are_twins_with_half_of_them_diseased() -> None:
    who = small_rosters()
    assert who["test"].label.sum() == EVALUATION.test // 2
    found = rendering.latents(batch((condition(), 0)), who)
    values = found.test
    ita, severity = values[0]
    assert values.shape == (1, 2, 2, EVALUATION.test)
    assert same(severity[0], severity[1]) and np.all(ita[0] > ita[1])
    for name in ("selection", "calibration"):
        latents = getattr(found, name)
        assert latents.shape == (1, 2, len(who[name].label))
        tone = latents[0, 0]
        assert tone[who[name].subgroup == 0].mean() > tone[who[name].subgroup == 1].mean(), name
    for name in ("train", "calibration"):
        counts = np.bincount(2 * who[name].subgroup + who[name].label, minlength=4)
        assert counts.max() - counts.min() <= 1, name


def test_one_program_serves_all_mixes_lengths_rates_budgets_and_replicates(one: Batch, encoder: Any) -> None:
    functions = [
        over_cells(stages.start),
        over_cells(stages.run_segment, donate=1),
        over_cells(adapt._started),
        over_cells(stages._initial_parameters),
        over_cells(pretraining_task._rendered_cohort),
        over_cells(adapt._fit),
        over_cells(adapt._finetuning_segment),
        over_cells(score._log_odds),
        over_cells(score._separability),
        over_cells(rendering._observe),
        over_cells(rendering._encode),
    ]
    first = finetuner(one, encoder)
    for kind in PROTOCOLS:
        scores(first, kind, labels=8)
    pretrain(one)
    before = [compiled(function) for function in functions]
    assert all(size > 0 for size in before)
    for i, shares in enumerate(MIXES):
        levers = {"learning_rate": 1e-3 * (i + 1), "steps": 3 + i, "weight_decay": 0.01 * i}
        another = batch((condition(shares=shares, cohort=32 + i, **levers), i))
        ready = finetuner(another, pretrain(another))
        for labels in (4, 12, POOL):
            for kind in PROTOCOLS:
                scores(ready, kind, labels)
    assert [compiled(function) for function in functions] == before
    pretrain(batch((condition(encoder=member("encoders", "linear")), 0)))
    assert compiled(over_cells(stages.run_segment, donate=1)) == before[1] + 1, "structure does compile again"


def test_progress_is_reported_between_segments(one: Batch) -> None:
    told: list[tuple[str, int, int]] = []
    long = batch((condition(steps=optimisation.SEGMENT + 1), 0))
    stages.pretrain(long, lambda stage, step, steps: told.append((stage, step, steps)))
    assert told == [
        ("pretrain", 0, optimisation.SEGMENT + 1),
        ("pretrain", optimisation.SEGMENT, optimisation.SEGMENT + 1),
    ]


def test_a_diverged_cell_is_reported() -> None:
    sick = batch((condition(learning_rate=1.0, steps=40), 0))
    schedule = sick.condition.pretraining.schedule
    broken = schedule.model_copy(update={"learning_rate": np.full(1, np.nan)})
    pretraining = sick.condition.pretraining.model_copy(update={"schedule": broken})
    hot = sick.condition.model_copy(update={"pretraining": pretraining})
    params, diverged = stages.pretrain(Batch(hot, sick.key), lambda *_: None)
    assert diverged == ["the update of step 0 is not finite"]
    assert same(params, stages.untrained(sick)), "a diverged run keeps its last finite parameters"


@pytest.mark.parametrize("kind", ["linear_probe", "full"])
def test_labelled_subjects_are_scored_by_encoder_and_head(kind: str, one: Batch, encoder: Any) -> None:
    """Scores are the head applied to features of the adapted encoder."""
    tuner = finetuner(one, encoder)
    arm = finetuning(kind, 20)
    adapted = tuner.adapt(arm, 0, quiet)
    found = scorer(tuner).score(adapted).train
    assert found.shape == (1, 16)
    images = images_of(tuner.sets.train, 16)
    features = one.condition.encoder.apply(cell(adapted.encoder, 0), {"image": images[0]})
    head = cell(adapted.head, 0)
    np.testing.assert_allclose(found[0], features @ head.weights + head.intercept, rtol=1e-4, atol=1e-4)


# --- where full fine-tuning starts -----------------------------------------------------------------------------------


def test_the_head_that_is_fitted_first_is_a_probe_of_the_frozen_features(one: Batch, encoder: Any) -> None:
    """With a learning rate of almost 0, full fine-tuning is the linear probe of the same penalty."""
    still = {
        **BRIEF,
        "schedule": {**BRIEF["schedule"], "learning_rate": 1e-12},
        "head_first": True,
        "head_penalty": 0.1,
    }
    tuner = finetuner(one, encoder)
    full, probe = (
        finetuning(kind).model_copy(update={"protocol": member("protocols", kind, **values)})
        for kind, values in (("full", {"pretrained": still}), ("linear_probe", {"penalties": (0.1,)}))
    )
    first, wanted = (scorer(tuner).score(tuner.adapt(arm, 0, quiet)) for arm in (full, probe))
    assert np.ptp(wanted.test) > 0.1
    assert close(first.test, wanted.test, atol=1e-3)


def test_a_head_that_cannot_be_fitted_starts_at_chance() -> None:
    head = jax.jit(adapt._fit_head)(
        member("tasks", "disease"), jnp.full((8, 3), jnp.nan), jnp.arange(8) % 2, jnp.int32(8), 0.1, None
    )
    assert not np.any(head(jnp.ones((2, 3))))
