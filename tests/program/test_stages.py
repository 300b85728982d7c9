"""Stages of pretraining: what a later one has from the first, and what is reported, stored and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.execution import checkpoint
from biasprop.execution.checkpoint import Checkpoint
from biasprop.nn.optimisation import SEGMENT
from biasprop.store.encoders import EncoderStore
from biasprop.study import design
from biasprop.study.conditions import Pretraining, PretrainingCondition
from biasprop.study.load import load_study
from biasprop.training import pretrain
from biasprop.training.batching import Batch
from tests.members import batch, condition, differing, member, same
from tests.program.small_experiment import quiet

PARTS = {"generator": differing("gaussian"), "encoder": member("encoders", "linear")}
SMALL = "tests/torture/small.toml"
BALANCED = {
    "cohort": 32,
    "shares": {"a": 0.5, "b": 0.5},
    "schedule": {"steps": 2 * SEGMENT, "batch": 8, "learning_rate": 2e-3},
}


def cell(**keys: Any) -> Batch:
    """A cell with keys of pretraining, by default one segment on a skewed cohort."""
    one = condition("reconstruction", (0.9, 0.1), **PARTS, steps=SEGMENT)
    pretraining = Pretraining.model_validate(one.pretraining.model_dump() | keys)
    return batch((PretrainingCondition(generator=one.generator, encoder=one.encoder, pretraining=pretraining), 0))


def test_a_later_stage_has_the_keys_that_it_leaves_out_from_the_first() -> None:
    first = cell(stages=({"cohort": 32}, {"source": "natural_textures"})).condition.pretraining
    every = first.sequence()
    assert [int(np.ravel(stage.cohort)[0]) for stage in every] == [64, 32, 64]
    assert [stage.source.kind for stage in every] == ["cohort", "cohort", "natural_textures"]
    assert all(stage.shares == first.shares and stage.stages == () for stage in every)


def test_stages_are_left_out_of_the_digest_where_there_are_none() -> None:
    dumped = condition("reconstruction", **PARTS).model_dump(mode="json")["pretraining"]
    assert not {"stages", "loop", "source"} & set(dumped)
    with_stage = cell(stages=(BALANCED,))
    (stage,) = Pretraining.model_validate({"shares": {"a": 0.5, "b": 0.5}, "stages": ({"cohort": 32},)}).model_dump(
        mode="json"
    )["stages"]
    assert stage == {"cohort": 32} and len(with_stage.condition.pretraining.stages) == 1


def test_a_level_of_the_first_stage_is_a_level_of_the_later_ones() -> None:
    study = load_study(SMALL, set=["pretraining.stages=[{ cohort = 32 }]"])
    for one in design.cells(study):
        first, second = one.condition.pretraining.sequence()
        assert first.shares == second.shares == ({"a": 1, "b": 0} if one.label == "all a" else {"a": 0, "b": 1})
    small = load_study(SMALL, smoke=True, set=["replicates=1"])
    assert small.pretraining.stages == ()
    (stage,) = load_study("studies/skin_tone.toml", smoke=True, set=["pretraining.stages=[{}]"]).pretraining.stages
    assert stage.changes() == {}


def test_continued_is_shorthand_for_a_stage() -> None:
    stated = cell(stages=(BALANCED,))
    shorthand = cell(mitigation={"kind": "continued", "cohort": 32, "schedule": BALANCED["schedule"]})
    params, _ = pretrain.pretrain(stated, quiet)
    assert same(params, pretrain.pretrain(shorthand, quiet)[0]) and not same(
        params, pretrain.pretrain(cell(), quiet)[0]
    )


def test_steps_are_reported_over_all_stages() -> None:
    told: list[tuple[str, int, int]] = []
    pretrain.pretrain(cell(stages=(BALANCED, {"cohort": 16})), lambda *step: told.append(step))
    assert told == [
        ("pretrain", 0, 4 * SEGMENT),
        ("continue", SEGMENT, 4 * SEGMENT),
        ("continue", 2 * SEGMENT, 4 * SEGMENT),
        ("continue-2", 3 * SEGMENT, 4 * SEGMENT),
    ]


def test_a_run_that_is_interrupted_in_a_later_stage_resumes_there_and_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.0)
    one, steps = cell(stages=(BALANCED, {"cohort": 16})), []
    names = [name for name, _ in pretrain.stages(one)]

    def interrupt(_: str, step: int, __: int) -> None:
        if step == 2 * SEGMENT:
            raise KeyboardInterrupt

    def kept() -> Checkpoint:
        return Checkpoint(EncoderStore(tmp_path), ["a/replicate-0"], lambda event: None, names)

    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(one, interrupt, kept())
    params, _ = pretrain.pretrain(one, lambda _, step, __: steps.append(step), kept())
    assert steps == [2 * SEGMENT, 3 * SEGMENT] and same(params, pretrain.pretrain(one, quiet)[0])
    assert len(list(tmp_path.rglob("*.npz"))) == 3
    kept().drop()
    assert not list(tmp_path.rglob("*.npz"))


def test_another_objective_starts_from_its_own_initial_parameters_and_the_encoder_of_the_first() -> None:
    parts = {"generator": member("generators", "gaussian"), "encoder": member("encoders", "vit")}
    one = condition("denoising", **parts)
    pretraining = one.pretraining.model_copy(
        update={"stages": Pretraining(shares={"a": 1.0}, stages=({"objective": "contrastive"},)).stages}  # pyright: ignore[reportArgumentType]
    )
    cells = batch((one.model_copy(update={"pretraining": pretraining}), 0))
    params, _ = pretrain.pretrain(cells, quiet)
    template = pretrain.untrained(cells)
    assert [x.shape for x in _leaves(params)] == [x.shape for x in _leaves(template)]
    alone = pretrain.untrained(batch((condition("contrastive", **parts), 0)))
    assert {*params["extra"]} == {*alone["extra"]} != {*pretrain.untrained(batch((one, 0)))["extra"]}


def _leaves(tree: Any) -> list[Any]:
    import jax

    return jax.tree.leaves(tree)


def test_shares_and_losses_are_of_the_stages_that_see_the_studys_subjects() -> None:
    generic_first = cell(source="natural_textures", stages=({"source": "cohort"},))
    generic_last = cell(stages=({"source": "natural_textures"},))
    second = pretrain.stages(generic_first)[1][1]
    assert same(pretrain.realised_shares(generic_first), pretrain.realised_shares(second))
    assert same(pretrain.realised_shares(generic_last), pretrain.realised_shares(cell()))
    losses = [pretrain.pretext_losses(one, pretrain.untrained(one), 8) for one in (generic_first, generic_last)]
    assert np.isfinite(losses[0]).all() and np.isnan(losses[1]).all()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[{ cohort = 1 }]", "pretraining.stages[0].cohort: is 1; has to be at least 16"),
        ("[{}, { schedule = { batch = 4000 } }]", "pretraining.stages[1].schedule.batch: is 4000; has to be at most"),
        ("[{ source = 'natural_textures', mitigation = 'resampling' }]", "stages[0].mitigation: resampling needs subj"),
        ("[{ shares = { a = 0.5, c = 0.5 } }]", "pretraining.stages[0].shares.c: there is no such subgroup"),
        ("[{ shares = { a = 0.5, b = 0.4 } }]", "pretraining.stages[0].shares: shares must sum to 1"),
        ("[{ objective = 'scratch' }]", "pretraining.stages[0].objective: this stage pretrains nothing"),
        ("[{ stages = [] }]", "pretraining.stages[0].stages: there is no such key here"),
        ("[{ loop = 'centrall' }]", "did you mean central?"),
    ],
)
def test_what_is_wrong_with_a_stage_is_said_there(stages: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        load_study(SMALL, set=[f"pretraining.stages={stages}"])
    assert message in str(raised.value)
