"""Hair and artefacts: off by default, the same for twins, visible in pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.members import images, member, subjects

TWINS = {"light": {"ita_mean": 50.0, "ita_sd": 5.0}, "same": {"ita_mean": 50.0, "ita_sd": 5.0}}


def drawn(subgroup: int = 0, **values: Any) -> np.ndarray:
    """Sixteen photographs."""
    generator = member("generators", "dermoscopy", size=32, subgroups=TWINS, **values)
    return np.asarray(images(generator, subjects(16, subgroup)))


@pytest.mark.parametrize(("switch", "density"), [("hair", "hair_density"), ("artefacts", "artefact_density")])
def test_occlusions_are_optional_and_shared_by_twins(switch: str, density: str) -> None:
    plain = drawn()
    none, all_of_it = drawn(**{switch: True, density: 0.0}), drawn(**{switch: True, density: 1.0})
    assert np.allclose(none, plain, atol=1e-5)
    changed = (np.abs(all_of_it - plain).max(axis=-1) > 0.05).mean(axis=(1, 2))
    assert (changed > 0.01).all() and changed.mean() < 0.6
    assert np.isfinite(all_of_it).all() and all_of_it.min() >= 0 and all_of_it.max() <= 1
    assert (drawn(1, **{switch: True, density: 1.0}) == all_of_it).all()


def test_hair_of_every_colour_darkens_light_skin() -> None:
    assert drawn(hair=True, hair_density=1.0).mean() < drawn().mean()
