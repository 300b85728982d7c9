"""The contract of generators, over their table; no member is named here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.component import levers
from biasprop.generators.images import ImageGenerator
from tests.members import (
    ROOMS,
    auc,
    bounds,
    differing,
    examples,
    images,
    latents,
    level_levers,
    masks,
    measured,
    member,
    observed,
    rendered,
    same,
    subjects,
    twins,
)

GENERATORS: Any = ROOMS["generators"]
IMAGES = [kind for kind, cls in GENERATORS.items() if issubclass(cls.generator_class, ImageGenerator)]
every = pytest.mark.parametrize("kind", GENERATORS)
only_images = pytest.mark.parametrize("kind", IMAGES)


@every
def test_examples_are_what_the_spec_says(kind: str) -> None:
    generator = differing(kind)
    for subgroup in (0, 1):
        drawn = examples(generator, subjects(256, subgroup))
        assert set(drawn) == set(generator.spec)
        for name, array in generator.spec.items():
            x = drawn[name]
            assert (
                x.shape == (256, *array.shape) and x.dtype == np.dtype(array.dtype) and x.nbytes == 256 * array.nbytes
            )
            assert np.isfinite(x).all()
            assert x.std(axis=0).min() > 1e-4, f"some value of {name} is constant over examples"
    assert latents(generator, subjects(256)).shape == (256, len(generator.latent_names))


@only_images
def test_images_and_masks_are_in_range(kind: str) -> None:
    generator = differing(kind)
    for subgroup in (0, 1):
        x = images(generator, subjects(256, subgroup))
        assert np.mean((x >= 0) & (x <= 1)) > 0.99
        assert same(x, examples(generator, subjects(256, subgroup))["image"])
    cover = np.asarray(masks(generator, subjects(256)))
    assert cover.shape == (256, *generator.spec["image"].shape[:2]) and cover.min() >= 0 and cover.max() <= 1


@every
def test_measurements_and_latents_are_finite(kind: str) -> None:
    generator = differing(kind)
    for subgroup in (0, 1):
        read = measured(generator, subjects(400, subgroup))
        assert all(np.isfinite(values).all() for values in read.values())
        assert np.isfinite(latents(generator, subjects(256, subgroup))).all()


@every
def test_an_example_does_not_depend_on_the_rest_of_its_batch(kind: str) -> None:
    generator = differing(kind)
    many, few = subjects(256), subjects(7)
    drawn = observed(generator, many)
    assert same(drawn, observed(generator, many))
    # XLA may change the order of sums with the shape of a product, which costs one unit in the last place.
    for name, x in observed(generator, few).items():
        assert np.abs(drawn[name][:7] - x).max() < 1e-6
    reversed_rows = observed(generator, jax.tree.map(lambda leaf: leaf[::-1], many))
    assert same(jax.tree.map(lambda leaf: leaf[::-1], reversed_rows), drawn)


@every
def test_changing_the_subgroup_back_restores_the_example(kind: str) -> None:
    generator, who = differing(kind), subjects(256)
    original = examples(generator, who)
    other = twins(who, 1)
    assert same(examples(generator, twins(who, 0)), original)
    assert not same(examples(generator, other), original)
    assert same(examples(generator, twins(other, 0)), original)


@every
def test_twins_share_everything_that_does_not_descend_from_the_subgroup(kind: str) -> None:
    generator, who = differing(kind), subjects(256)
    if kind in IMAGES and not generator.anatomy_differs:
        assert same(masks(generator, who), masks(generator, twins(who, 1)))
    severity = list(generator.latent_names).index("severity")
    one, other = (np.asarray(latents(generator, twins(who, g))) for g in (0, 1))
    assert same(one[:, severity], other[:, severity])
    assert not np.allclose(one, other), "no stored latent differs between the subgroups"


@every
def test_equal_levels_make_the_subgroups_one(kind: str) -> None:
    generator = member("generators", kind)
    assert same(examples(generator, subjects(256)), examples(generator, twins(subjects(256), 1)))
    assert same(latents(generator, subjects(256)), latents(generator, twins(subjects(256), 1)))


@every
def test_a_larger_lever_is_a_larger_measured_difference(kind: str) -> None:
    cls, who = ROOMS["generators"][kind], subjects(400)
    spread = {name: values.std() for name, values in measured(member("generators", kind), who).items()}

    def difference(lever: str, by: float) -> float:
        """Mean difference of twins in the measurement that changes most, in its sds."""
        one, other = (measured(differing(kind, lever, by), twins(who, g)) for g in (0, 1))
        return max(float(np.mean(np.abs(one[name] - other[name]))) / sd for name, sd in spread.items())

    for lever in level_levers(cls):
        small, medium, large = (difference(lever, by) for by in (0.05, 0.15, 0.45))
        assert 0.01 < small < medium < large, lever  # sex shows in the noise alone of a slice of lung
        assert large > 2 * small, lever


@every
def test_the_label_is_visible_in_every_subgroup(kind: str) -> None:
    generator = differing(kind)
    for subgroup in (0, 1):
        who = subjects(400, subgroup)
        best = max(abs(auc(who.label, values) - 0.5) for values in measured(generator, who).values())
        assert best > 0.1


@every
def test_the_label_changes_the_disease_and_no_other_latent(kind: str) -> None:
    """With the same key, a healthy and a diseased subject differ only in severity."""
    generator, who = differing(kind), subjects(256)
    healthy, diseased = (who._replace(label=jnp.full_like(who.label, value)) for value in (0, 1))
    severity = list(generator.latent_names).index("severity")
    rise = latents(generator, diseased)[:, severity] - latents(generator, healthy)[:, severity]
    assert np.allclose(rise, 1, atol=1e-5)
    assert not same(examples(generator, healthy), examples(generator, diseased))


@only_images
def test_switches_are_off_by_default_and_their_levers_then_have_no_effect(kind: str) -> None:
    cls, who = ROOMS["generators"][kind], subjects(256)
    fields = cls.model_fields
    plain = images(member("generators", kind), who)
    for switch in (name for name, field in fields.items() if field.annotation is bool):
        assert fields[switch].default is False
        strengths = [name for name in levers(cls) if name.startswith(switch.rstrip("s"))]
        assert strengths, f"{switch} has no strength beside it"
        for strength in strengths:
            low, high = bounds(fields[strength])
            assert same(images(member("generators", kind, **{strength: high}), who), plain)
            on = images(member("generators", kind, **{switch: True, strength: high}), who)
            assert np.mean(np.abs(on - plain)) > 1e-3
            assert np.all(np.abs(on - plain).max(axis=(1, 2, 3)) > 1e-3), "nothing is drawn in some image"
            nothing = images(member("generators", kind, **{switch: True, strength: low}), who)
            assert np.allclose(nothing, plain, atol=1e-4)


@only_images
def test_any_size_is_drawn(kind: str) -> None:
    for size in (8, 24, 64):
        generator = member("generators", kind, size=size)
        drawn = jax.eval_shape(rendered, generator, subjects(7))  # compiling would take ten seconds per size
        assert drawn.shape == (7, *generator.spec["image"].shape) == (7, size, size, generator.channels)
    odd = images(member("generators", kind, size=24), subjects(7))
    assert np.isfinite(odd).all() and odd.std(axis=(1, 2)).min() > 0
