"""Physical validity of generators, over their table; no member is named here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.interfaces import Subjects
from biasprop.population import sampling
from tests.generators import first_images
from tests.members import IMAGES, RENDER_BATCH, SEED, auc, differing, images, masks, member, subjects

pytestmark = pytest.mark.parametrize("kind", IMAGES)


@jax.jit
def _draw(own: Any) -> Any:
    return jax.vmap(lambda key: jax.random.uniform(keys.at(key, keys.Subject.SUBGROUP)))(own)


def test_the_difference_of_disease_twins_stays_inside_the_lesion(kind: str) -> None:
    """The same subject healthy and diseased, with all latents fixed, differs only inside the lesion."""
    generator, who = differing(kind), subjects(256)
    pair = [who._replace(label=jnp.full_like(who.label, value)) for value in (0, 1)]
    healthy, diseased = (np.asarray(images(generator, each)) for each in pair)
    support = sum(np.asarray(masks(generator, each)) for each in pair) > 1e-3
    difference = np.abs(diseased - healthy).max(axis=-1)
    assert (~support).any() and support.any(axis=(1, 2)).all()
    assert difference[~support].max() < 2e-3
    assert np.median(difference.max(axis=(1, 2))) > 20 * 2e-3


def test_the_mean_of_an_image_is_a_poor_diagnosis_in_every_subgroup(kind: str) -> None:
    generator = differing(kind)
    for subgroup in (0, 1):
        who = subjects(4 * RENDER_BATCH, subgroup)
        mean = images(generator, who).mean(axis=(1, 2))
        assert all(abs(auc(who.label, channel) - 0.5) < 0.17 for channel in mean.T)


def cohort(generator: Any, n: int) -> tuple[Subjects, np.ndarray]:
    """A cohort with equal shares, and its images at half the resolution, one per row."""
    key = keys.stream(keys.replicate(SEED, 0), keys.Stream.PRETRAIN_SUBJECTS)
    who = sampling.cohort(key, jnp.arange(n), {"a": 0.5, "b": 0.5}, 0.5)
    x = images(generator, who)
    half = x.shape[1] // 2
    return who, x.reshape(n, half, 2, half, 2, -1).mean(axis=(2, 4)).reshape(n, -1)


def decoded(x: np.ndarray, subgroup: Any) -> float:
    """AUC of the subgroup, by a ridge regression on pixels and their squares, on the held-out half."""
    inputs = np.concatenate([x, (x - x.mean(axis=0)) ** 2], axis=1)
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    subgroup, learn = np.asarray(subgroup), np.arange(len(x)) < len(x) // 2
    square = inputs[learn].T @ inputs[learn] + 10.0 * np.eye(inputs.shape[1])
    weights = np.linalg.solve(square, inputs[learn].T @ (subgroup[learn] - subgroup[learn].mean()))
    return auc(subgroup[~learn], inputs[~learn] @ weights)


@pytest.mark.slow
def test_levers_off_leave_nothing_that_tells_the_subgroup(kind: str) -> None:
    """Subgroups have different subjects, so that a latent that shares the draw of the subgroup would be detected."""
    who, x = cohort(member("generators", kind), 64 * RENDER_BATCH)
    assert abs(decoded(x, who.subgroup) - 0.5) < 0.025  # four standard errors
    shared = x + 0.05 * np.asarray(_draw(who.key))[:, None]
    assert decoded(shared, who.subgroup) > 0.6, "the decoder cannot detect a shared draw"
    other, unequal = cohort(differing(kind), 16 * RENDER_BATCH)
    assert decoded(unequal, other.subgroup) > 0.6, "the decoder cannot detect a subgroup"


def test_the_first_images_are_those_on_record(kind: str) -> None:
    """To the bit if the fingerprint is on record, and within the tolerance otherwise."""
    known, now = first_images.recorded()[kind], first_images.first(kind)
    renew = f"if {kind} was changed on purpose: python -m tests.generators.first_images"
    assert known.definition == now.definition, f"the definition is another one; {renew}"
    for name, values in known.summary.items():
        assert np.allclose(now.summary[name], values, rtol=0, atol=first_images.TOLERANCE), f"{name}; {renew}"
    (mark, digest), *_ = now.sha256.items()
    assert known.sha256.get(mark, digest) == digest, f"bits moved on {mark}; {renew}"
