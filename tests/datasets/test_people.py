"""Who is in which set: no person in two, each of the stated subgroup and label, in the stated numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys, load_study
from biasprop.component import Shared
from biasprop.datasets import datasets
from biasprop.interfaces import Part
from biasprop.population import people, rosters
from biasprop.study import design
from biasprop.study.study import Study
from biasprop.training import rendering
from biasprop.training.batching import Batch, stacked
from biasprop.training.people import with_people
from biasprop.training.pretraining_task import cohort_members
from tests.datasets import digits


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load_study(digits.study(folder))


def batch(study: Study, replicate: int = 0, level: int = 0) -> Batch:
    cell = [cell for cell in design.cells(study) if cell.replicate == replicate][level]
    key = keys.replicate(study.seed, replicate)
    return Batch(stacked([with_people(cell.condition, key)]), key[None])


def truth(study: Study) -> Any:
    """Part, subgroup and label of every row."""
    return datasets.of(study.generator.digest).people


def _sets(study: Study) -> dict[str, rosters.Roster]:
    """Rosters of the arm with most labels."""
    arm = design.cells(study)[0].arms[-1].condition
    return rosters.rosters(arm.finetuning, arm.evaluation, list(study.subgroups), arm.train_count, of_people=True)


def rows(study: Study, cell: Batch) -> dict[str, np.ndarray]:
    """Rows of the people in every set of an arm, by set, subgroup (of the test set) and draw."""
    sets = _sets(study)
    found = {}
    twins = rendering._twin_rosters(cell, sets["test"])
    listed = {f"test {g}": roster for g, roster in enumerate(twins)}
    listed |= {f"train {draw}": sets["train"].of_draw(draw) for draw in (0, 1)}
    listed |= {name: sets[name] for name in ("selection", "calibration")}
    for name, roster in listed.items():
        chunks = [np.asarray(chunk[-1])[0] for chunk in rendering._chunked_rows(cell, roster)]
        found[name] = np.concatenate(chunks)[: len(roster.label)]
        known = truth(study)
        assert (known.subgroup[found[name]] == roster.subgroup).all() and (
            known.label[found[name]] == roster.label
        ).all()
    return found


def cohort(study: Study, cell: Batch, size: int = 400) -> np.ndarray:
    """Rows of the members of the pretraining cohort of the only cell of a batch."""
    condition = jax.tree.map(
        lambda node: node if isinstance(node, Shared) else node[0],
        cell.condition,
        is_leaf=lambda node: isinstance(node, Shared),
    )
    members = cohort_members(condition, cell.key[0], jnp.arange(size))
    known = truth(study)
    assert (known.subgroup[members.row] == members.subgroup).all() and (known.label[members.row] == members.label).all()
    return np.asarray(members.row)


def test_sets_are_disjoint_and_of_the_right_part(study: Study) -> None:
    cell = batch(study)
    sets = rows(study, cell) | {"cohort": cohort(study, cell)}
    every = np.concatenate(list(sets.values()))
    assert len(set(every.tolist())) == len(every) == 2 * 60 + 2 * 26 + 20 + 40 + 400
    part = truth(study).part
    for name, found in sets.items():
        wanted = {"cohort": Part.PRETRAINING, "train": Part.FINETUNING, "selection": Part.FINETUNING}
        assert (part[found] == wanted.get(name.split()[0], Part.EVALUATION)).all(), name


def test_replicates_draw_other_people_and_conditions_the_same(study: Study) -> None:
    here, there, other = (rows(study, batch(study, *which)) for which in ((0, 0), (0, 1), (1, 0)))
    assert all((here[name] == there[name]).all() for name in here)
    assert all((here[name] != other[name]).mean() > 0.5 for name in here)


def test_a_mix_adds_people_of_one_subgroup_and_takes_away_those_of_the_other(folder: Path) -> None:
    study = load_study(digits.study(folder, mixes=(0.8, 0.3)))
    subgroup = truth(study).subgroup
    many, few = (cohort(study, batch(study, 0, level)) for level in (0, 1))
    assert [np.mean(subgroup[rows] == 0) for rows in (many, few)] == pytest.approx([0.8, 0.3], abs=0.01)
    small_of_many, small_of_few = (set(rows[subgroup[rows] == 0].tolist()) for rows in (many, few))
    large_of_many, large_of_few = (set(rows[subgroup[rows] == 1].tolist()) for rows in (many, few))
    assert small_of_few < small_of_many and large_of_many < large_of_few


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5)])
def test_the_members_of_a_cohort_are_counted_beforehand(shares: tuple[float, ...]) -> None:
    n, prevalences = 2_000, [0.5, 0.3, 0.8][: len(shares)]
    share = [np.float32(x) for x in shares]
    own = [np.float32(x) for x in prevalences]
    subgroup, label = people.slots(np.arange(n, dtype=np.uint32), share, own)
    jax_subgroup, jax_label = people.slots(jnp.arange(n, dtype=jnp.uint32), [jnp.float32(x) for x in shares], own)
    assert (subgroup == np.asarray(jax_subgroup)).all() and (label == np.asarray(jax_label)).all()
    counts = people.counted(subgroup.astype(int), label.astype(int), len(shares))
    expected = n * np.array([[s * (1 - p), s * p] for s, p in zip(shares, prevalences, strict=True)])
    assert np.abs(counts - expected).max() < 8


def test_ranks_and_the_longest_prefix() -> None:
    codes = np.array([0, 1, 0, 0, 1, 2])
    assert people.ranks(codes).tolist() == [0, 0, 1, 2, 1, 0]
    assert people.largest(codes, np.array([2, 2, 1])) == 3 and people.largest(codes, np.array([3, 2, 1])) == 6
    assert people.largest(codes, np.array([0, 2, 1])) == 0


def test_the_images_of_a_table_reach_a_batch_of_cells_once(study: Study) -> None:
    cells = [cell for cell in design.cells(study) if cell.replicate == 0]
    key = keys.replicate(study.seed, 0)
    conditions = [with_people(cell.condition, key) for cell in cells]
    one, both = (Batch(stacked(part), jnp.stack([key] * len(part))) for part in (conditions[:1], conditions))
    assert isinstance(both.condition.generator.shared, Shared)
    values = both.condition.generator.shared.arrays["image"]
    assert values is conditions[1].generator.shared.arrays["image"] and values.shape == (1797, 8, 8, 1)
    roster = _sets(study)["calibration"]
    drawn = [rendering.rendered(cell, cell.key, roster) for cell in (one, both)]
    images = [np.asarray(chunks[0]["image"]) for chunks in drawn]
    assert images[1].shape == (2, 250, 8, 8, 1) and (images[1] == images[0]).all()
    mine = rows(study, one)["calibration"]
    assert (images[0][0, :40] == np.asarray(values)[mine] * np.float32(1 / 255)).all()
