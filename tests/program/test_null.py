"""If subgroups have equal levers, every paired difference is exactly 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biasprop.protocols import PROTOCOLS
from biasprop.training import rendering
from tests.members import IMAGES, batch, condition, member, one_of_each, same
from tests.program.small_experiment import finetuner, pretrain, scores, small_rosters


@pytest.fixture(scope="module", params=IMAGES)
def mixes(request: pytest.FixtureRequest) -> list[tuple[Any, Any]]:
    """Cells and encoders of the two extreme mixes of two equal subgroups."""
    generator = member("generators", request.param)
    cells = [batch((condition(shares=shares, generator=generator), 0)) for shares in [(1.0, 0.0), (0.0, 1.0)]]
    return [(cell, pretrain(cell)) for cell in cells]


def test_equal_subgroups_give_one_encoder_whatever_the_mix(mixes: Any) -> None:
    assert same(mixes[0][1], mixes[1][1])


def test_twins_of_equal_subgroups_are_identical(mixes: Any) -> None:
    sets = rendering.render_sets(mixes[0][0], small_rosters())
    assert same(*sets.test)
    latents = rendering.latents(mixes[0][0], small_rosters()).test
    assert same(latents[:, :, 0], latents[:, :, 1])


@pytest.mark.parametrize("kind", one_of_each(PROTOCOLS, lambda cls: cls.adapts_encoder))
def test_every_paired_difference_is_exactly_0(kind: str, mixes: Any) -> None:
    to_a, to_b = (scores(finetuner(*mix), kind) for mix in mixes)
    for draw, other in zip(to_a, to_b, strict=True):
        assert np.array_equal(draw.test[:, 0], draw.test[:, 1]), "a gap between twins"
        assert np.array_equal(draw.test, other.test), "a contrast between mixes"
        assert np.ptp(draw.test) > 0
        assert np.array_equal(draw.separability[:, 0], draw.separability[:, 1])
