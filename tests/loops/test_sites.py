"""Studies with sites: smoke runs, plans, and how members are divided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biasprop import keys, run
from biasprop.population.attributes import Attributes
from biasprop.population.random_attributes import RandomAttribute
from biasprop.population.sites import sites
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.training.batching import one_cell
from biasprop.training.site_members import cohort_subgroups, site_members
from tests.members import SEED

STUDY = Path(__file__).parent / "sites.toml"


def test_a_smoke_run_has_batches_that_the_sites_of_every_loop_can_divide() -> None:
    small = load_study(STUDY, smoke=True)
    batches = {cell.label: cell.condition.pretraining.schedule.batch for cell in design.cells(small)}
    assert all(batch % 6 == 0 and 16 <= batch < 32 for batch in batches.values()), batches


def test_a_plan_says_what_sites_send(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """5 rounds, 2 sites, there and back, 4 bytes a number: a map to 4 features and back, and an offset image."""
    assert run.main([str(STUDY), "--plan", "--out", str(tmp_path)]) == 0
    sent = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines() if line.startswith("sent")]
    numbers = 2 * 4 * 64 + 64
    assert sent == [f"{5 * 2 * 2 * 4 * numbers / 1e6:,.1f} MB in two sites a round, a replicate"]


def test_every_member_is_at_the_site_of_its_subgroup_and_a_smaller_cohort_has_no_others() -> None:
    condition = design.cells(load_study(STUDY))[0].condition
    cells = one_cell(condition, keys.replicate(SEED, 0))
    subgroup = np.concatenate([drawn[0] for _, drawn in cohort_subgroups(cells, 200)])
    for largest in (0, 500):
        members = site_members(cells, largest)
        assert members is not None and members.rows.shape == (1, max(200, largest))
        assert list(condition.sites()) == ["site_1", "site_2", "site_3"]
        parts = np.split(np.asarray(members.rows[0]), np.cumsum(members.sizes[0]))
        assert int(members.sizes.sum()) == 200
        for own, subgroups in zip(parts, condition.sites().values(), strict=False):
            np.testing.assert_array_equal(own, np.flatnonzero(np.isin(subgroup[:200], subgroups)))


def test_sites_are_subgroups_values_of_an_attribute_or_pairs_where_levels_are_within_another() -> None:
    attributes = Attributes(
        names=("tone", "site"),
        values=(("light", "dark"), ("site_1", "site_2")),
        subgroups=(("light", "site_1"), ("light", "site_2"), ("dark", "site_1"), ("dark", "site_2")),
        random={"site": RandomAttribute(levels=2)},
    )
    names = ["a", "b", "c", "d"]
    assert sites(names, attributes, None) == {"a": (0,), "b": (1,), "c": (2,), "d": (3,)}
    assert sites(names, attributes, "site") == {"site_1": (0, 2), "site_2": (1, 3)}
    within = attributes.model_copy(update={"random": {"site": RandomAttribute(levels=2, within="tone")}})
    assert list(sites(names, within, "site")) == [
        "site_1 of light", "site_2 of light", "site_1 of dark", "site_2 of dark",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no attribute 'centre'"):
        sites(names, attributes, "centre")
