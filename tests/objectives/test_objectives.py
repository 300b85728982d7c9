"""Contrastive and masked losses against reference implementations; augmentation."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.keys import at_each
from biasprop.nn.layers import patchify
from biasprop.nn.views import Augmentation, _resample
from biasprop.objectives import visible_tokens
from biasprop.objectives.contrastive import Contrastive, nt_xent
from biasprop.objectives.masked import Masked
from tests.members import image_spec, member

OFF = Augmentation(scale=0, shift=0, flip=0, transpose=0, gain=0, offset=0)
IMAGE = jax.random.uniform(jax.random.key(1), (16, 16, 3))
KEY = jax.random.key(8)


# --- contrastive -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_is_the_papers_formula(temperature: float) -> None:
    z = np.random.default_rng(0).normal(size=(10, 4))
    similarity = (z @ z.T) / np.linalg.norm(z, axis=1)[:, None] / np.linalg.norm(z, axis=1)[None, :]
    total = 0.0
    for i in range(10):
        others = [np.exp(similarity[i, k] / temperature) for k in range(10) if k != i]
        total -= np.log(np.exp(similarity[i, (i + 5) % 10] / temperature) / sum(others))
    assert float(nt_xent(jnp.asarray(z, jnp.float32), temperature)) == pytest.approx(total / 10, rel=1e-5)


def test_nt_xent_ignores_length_and_order_and_rewards_agreement() -> None:
    z = jax.random.normal(KEY, (12, 5))
    base = float(nt_xent(z, 0.2))
    assert float(nt_xent(z * jnp.linspace(0.5, 3, 12)[:, None], 0.2)) == pytest.approx(base, rel=1e-4)
    turned = jnp.concatenate([z[:6][::-1], z[6:][::-1]])
    assert float(nt_xent(turned, 0.2)) == pytest.approx(base, rel=1e-5)
    assert float(nt_xent(jnp.concatenate([z[:6], z[:6]]), 0.2)) < base
    same_everywhere = float(nt_xent(jnp.ones((12, 5)), 0.2))
    assert same_everywhere == pytest.approx(np.log(11), rel=1e-5)


def test_views_that_agree_are_easier_than_views_that_do_not() -> None:
    encoder = member("encoders", "vit")
    x = jax.random.uniform(KEY, (8, 16, 16, 3))

    def loss(augmentation: Augmentation) -> float:
        objective = Contrastive(projection=8, augmentation=augmentation)
        spec = image_spec(16, 16, 3)
        params = encoder.init(KEY, spec)
        return float(objective.loss(encoder, params, objective.init(KEY, encoder, spec), {"image": x}, KEY))

    assert loss(OFF) < loss(Augmentation())


# --- masked ----------------------------------------------------------------------------------------------------------


class Spy(NamedTuple):
    """An encoder that returns the indices of its input tokens."""

    patch: int = 4
    width: int = 8

    def tokens(self, params: Any, x: jax.Array, keep: Any) -> jax.Array:
        """Indices of the visible tokens."""
        n, t = x.shape[0], (x.shape[1] // self.patch) ** 2
        numbers = jnp.broadcast_to(jnp.arange(t, dtype=jnp.float32)[None, :, None], (n, t, self.width))
        seen = keep(numbers)
        RECORDED.append(np.asarray(jax.lax.stop_gradient(seen[:, :, 0])))
        return seen


RECORDED: list[np.ndarray] = []


@pytest.mark.parametrize(("hidden_percent", "visible"), [(75, 4), (50, 8), (95, 1)])
@pytest.mark.parametrize("target", ["pixels", "standardised"])
def test_only_hidden_patches_enter_the_loss(target: Any, hidden_percent: int, visible: int) -> None:
    encoder, shape = Spy(), (16, 16, 3)
    objective = Masked(hidden_percent=hidden_percent, target=target, decoder_width=8)
    extra = objective.init(KEY, encoder, image_spec(*shape))
    x = jax.random.uniform(jax.random.key(3), (5, *shape))
    RECORDED.clear()
    objective.loss(encoder, {}, extra, {"image": x}, KEY)
    visible_patches = RECORDED[0]
    assert visible_patches.shape == (5, visible)
    # The spy's tokens contain no pixels, so a pixel can enter the loss only as a target.
    slopes = jax.jit(jax.grad(lambda pixels: _quiet_loss(objective, extra, pixels)))(x)
    entered = np.abs(np.asarray(patchify(slopes, 4))).max(axis=-1) > 0
    for i in range(5):
        assert set(np.flatnonzero(~entered[i])) == set(visible_patches[i].astype(int)), i
    assert len({tuple(row) for row in visible_patches.tolist()}) > 1, "every image has the same mask"


class QuietSpy(Spy):
    """A spy that can be compiled."""

    def tokens(self, params: Any, x: jax.Array, keep: Any) -> jax.Array:
        """Indices of the visible tokens."""
        n, t = x.shape[0], (x.shape[1] // self.patch) ** 2
        return keep(jnp.broadcast_to(jnp.arange(t, dtype=jnp.float32)[None, :, None], (n, t, self.width)))


def _quiet_loss(objective: Masked, extra: Any, x: jax.Array) -> jax.Array:
    return objective.loss(QuietSpy(), {}, extra, {"image": x}, KEY)


def test_hidden_patches_do_not_reach_the_encoder() -> None:
    """Changing hidden pixels changes the target and not the prediction."""
    encoder, shape = member("encoders", "vit", patch=4), (16, 16, 3)
    params = encoder.init(KEY, image_spec(*shape))
    pick = jnp.array([0, 3, 9])
    x = jax.random.uniform(jax.random.key(3), (2, *shape))
    tokens = encoder.tokens(params, x, lambda t: t[:, pick])
    slopes = jax.grad(lambda pixels: jnp.sum(encoder.tokens(params, pixels, lambda t: t[:, pick]) ** 3))(x)
    reached = np.abs(np.asarray(patchify(slopes, 4))).max(axis=(0, 2)) > 0
    assert tokens.shape == (2, 3, encoder.width) and set(np.flatnonzero(reached)) == {0, 3, 9}


def test_a_standardised_target_is_invariant_to_illumination() -> None:
    x = jax.random.uniform(jax.random.key(3), (2, 16, 16, 3))
    extra = Masked(decoder_width=8).init(KEY, Spy(), image_spec(16, 16, 3))
    cases: list[tuple[Any, bool]] = [("standardised", True), ("pixels", False)]
    for target, equal in cases:
        objective = Masked(decoder_width=8, target=target)
        bright, dim = (float(_quiet_loss(objective, extra, 0.2 + gain * x)) for gain in (0.8, 0.6))
        assert (abs(bright / dim - 1) < 1e-2) == equal


# --- views -----------------------------------------------------------------------------------------------------------


def views(augmentation: Augmentation, n: int = 64) -> np.ndarray:
    """Many views of one image."""
    return np.asarray(
        jax.jit(jax.vmap(lambda a, k: a.view_image(k, IMAGE), (None, 0)))(augmentation, at_each(KEY, jnp.arange(n)))
    )


def test_zero_levers_change_nothing() -> None:
    assert np.allclose(views(OFF), IMAGE, atol=1e-6)


def test_flips_and_transposition_make_the_eight_symmetries() -> None:
    both = Augmentation.model_validate(OFF.model_dump() | {"flip": 1.0})
    assert np.allclose(views(both), IMAGE[::-1, ::-1], atol=1e-5)
    turned = Augmentation.model_validate(OFF.model_dump() | {"transpose": 1.0})
    assert np.allclose(views(turned), IMAGE.swapaxes(0, 1), atol=1e-5)
    any_of = Augmentation.model_validate(OFF.model_dump() | {"flip": 0.5, "transpose": 0.5})
    image = np.asarray(IMAGE)
    plain = [image[::v, ::h] for v in (1, -1) for h in (1, -1)]
    symmetries = plain + [p.swapaxes(0, 1) for p in plain]
    found = [[bool(np.allclose(view, s, atol=1e-5)) for s in symmetries].index(True) for view in views(any_of)]
    assert set(found) == set(range(8))


def test_colour_moves_by_channel_and_shape_does_not() -> None:
    coloured = views(Augmentation.model_validate(OFF.model_dump() | {"gain": 0.3, "offset": 0.1}), 500)
    for channel in range(3):
        slope, offset = np.polyfit(
            np.asarray(IMAGE)[..., channel].ravel(), coloured[..., channel].reshape(500, -1).T, 1
        )
        assert np.log(slope).std() == pytest.approx(0.3, rel=0.15) and offset.std() == pytest.approx(0.1, rel=0.15)
        rebuilt = slope[:, None, None] * np.asarray(IMAGE)[..., channel] + offset[:, None, None]
        assert np.allclose(rebuilt, coloured[..., channel], atol=1e-4)


@pytest.mark.parametrize("zoom", [0.8, 1.0, -1.25])
@pytest.mark.parametrize("shift", [-0.3, 0.0, 0.1])
def test_resampling_weights_are_an_average_of_neighbours(zoom: float, shift: float) -> None:
    weights = np.asarray(_resample(16, jnp.float32(zoom), jnp.float32(shift)))
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-5) and weights.min() >= 0
    assert (weights > 1e-6).sum(axis=1).max() <= 2
    ramp = (np.arange(16) + 0.5) / 16 - 0.5
    expected = np.clip(ramp / zoom + shift, ramp[0], ramp[-1])
    assert np.allclose(weights @ ramp, expected, atol=1e-5), "a linear ramp is resampled exactly"


def test_a_stronger_lever_moves_a_view_further() -> None:
    for lever in ("scale", "shift", "gain", "offset"):
        moved = [
            np.abs(views(Augmentation.model_validate(OFF.model_dump() | {lever: by})) - np.asarray(IMAGE)).mean()
            for by in (0.02, 0.1, 0.3)
        ]
        assert 0 < moved[0] < moved[1] < moved[2], lever


def test_a_contrastive_view_may_hide_patches_from_the_encoder() -> None:
    """Half of the patches of each view decide its features; which half differs between views."""
    encoder, spec = member("encoders", "vit", patch=4), image_spec(16, 16, 3)
    objective = member("objectives", "contrastive", hidden_percent=50)
    pick = visible_tokens.selection(jax.random.key(3), 12, 16, 50)
    assert pick.shape == (12, 8, 16) and np.array_equal(pick.sum(axis=(1, 2)), np.full(12, 8))
    assert len(np.unique(pick.sum(axis=1), axis=0)) > 6 and pick.sum(axis=1).max() == 1

    params, views = encoder.init(jax.random.key(4), spec), jax.random.uniform(jax.random.key(5), (2, 16, 16, 3))
    slopes = jax.grad(lambda x: objective._features(encoder, params, {"image": x}, jax.random.key(6)).sum())(views)
    by_patch = np.abs(patchify(slopes, 4)).max(axis=-1) > 0
    assert by_patch.sum(axis=1).tolist() == [8, 8] and (by_patch[0] != by_patch[1]).any()
    assert "cannot" in str(objective.incompatibility(member("encoders", "mixer"), spec))
    few = member("objectives", "contrastive", hidden_percent=5)
    assert "hides none of 4" in str(few.incompatibility(member("encoders", "vit"), spec))
