"""Attributes and follow-up images, over the generators that have them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.generators import GENERATORS
from tests.members import differing, images, latents, masks, member, same, subjects, twins

DESCRIBED = [kind for kind, cls in GENERATORS.items() if cls.attribute_names]  # pyright: ignore[reportAttributeAccessIssue]
FOLLOWED = [kind for kind, cls in GENERATORS.items() if cls.follows_up]  # pyright: ignore[reportAttributeAccessIssue]

WHO = subjects(256)


@pytest.mark.parametrize("kind", DESCRIBED)
def test_attributes_are_standardised_and_independent_of_disease_and_subgroup(kind: str) -> None:
    generator = differing(kind)
    told = jax.vmap(generator.attributes)(subjects(2_000))
    assert told.shape == (2_000, len(generator.attribute_names))
    assert np.allclose(told.mean(axis=0), 0, atol=0.1) and np.allclose(told.std(axis=0), 1, atol=0.1)
    other = twins(WHO, 1)._replace(label=1 - WHO.label)
    assert same(jax.vmap(generator.attributes)(WHO), jax.vmap(generator.attributes)(other))


@pytest.mark.parametrize("kind", FOLLOWED)
def test_a_second_image_is_of_the_same_subject_whose_disease_has_grown(kind: str) -> None:
    generator = differing(kind)
    first, at_once, later = (WHO._replace(months=m if m is None else jnp.full(256, m)) for m in (None, 0.0, 24.0))
    assert np.allclose(masks(generator, first), masks(generator, at_once), atol=1e-4)
    assert same(latents(generator, first), latents(generator, later)), "it is another subject"
    gained = np.asarray(masks(generator, later) - masks(generator, first))
    assert gained.min() > -0.05 and gained.max() > 0.1
    area = gained.sum(axis=(1, 2))
    assert area[np.asarray(WHO.label) == 1].mean() > 3 * area[np.asarray(WHO.label) == 0].mean()
    assert same(masks(generator, later), masks(generator, twins(later, 1)))
    one, again = (np.asarray(images(generator, who)) for who in (first, at_once))
    own = ((one - again) ** 2).mean(axis=(1, 2, 3))
    assert own.min() > 0, "a follow-up image has its own light and noise"
    assert own.mean() < 0.5 * ((one - np.roll(again, 2, axis=0)) ** 2).mean()


def test_a_melanoma_gains_area_as_published() -> None:
    """The area of an outline is proportional to the square of its diameter, for any shape."""
    generator = member("generators", "dermoscopy", size=48)
    diseased = subjects(2_000)._replace(label=jnp.ones(2_000, jnp.int32))
    after = diseased._replace(months=jnp.full(2_000, 10.0))
    grown = np.asarray(jax.vmap(lambda who: generator.plain._draws(who).grown_area)(after))
    assert grown.mean() / 10 == pytest.approx(0.43, rel=0.15) and grown.std() / 10 == pytest.approx(0.9, rel=0.4)
    few = jax.tree.map(lambda leaf: leaf[:200], (diseased, after))
    pixel = (generator.field_of_view / generator.size) ** 2
    before, later = (np.asarray(masks(generator, who)).sum(axis=(1, 2)) * pixel for who in few)
    cue = np.asarray(jax.vmap(generator.cues)(few[0]))[:, 0]
    area = np.pi / 4 * np.clip(4.5 * np.exp(0.3 * cue), 2, 9.5) ** 2
    expected = 1 + grown[:200] / area
    inside = (expected < 1.4) & (area < 30)  # neither lesion reaches the edge of the image
    assert inside.sum() > 50
    assert np.median(np.abs(later / before / expected - 1)[inside]) < 0.06
