"""The PyTorch peer computes what we compute: network, losses, optimiser, probe and views, number for number."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from biasprop.encoders import ENCODERS
from biasprop.nn import heads
from biasprop.nn.optimisation import Schedule
from biasprop.objectives.contrastive import nt_xent

torch = pytest.importorskip("torch", reason="needs the extra benchmark")

from tests.benchmarks import peer_network, peer_study  # noqa: E402
from tests.members import image_spec  # noqa: E402


def key(seed: int) -> Any:
    return jax.random.key(seed)


def tensor(array: Any) -> Any:
    return torch.from_numpy(np.array(array))


def encoder_with(params: Any, size: int, sizes: dict[str, int]) -> Any:
    """The peer's encoder with our parameters."""
    encoder: Any = peer_network.Encoder(size, 3, **sizes)
    patch = sizes["patch"]

    def linear(layer: Any, own: Any) -> None:
        layer.weight.data, layer.bias.data = tensor(own["kernel"].T), tensor(own["bias"])

    def norm(layer: Any, own: Any) -> None:
        layer.weight.data, layer.bias.data = tensor(own["scale"]), tensor(own["bias"])

    kernel = params["embed"]["kernel"].reshape(patch, patch, 3, -1)
    encoder.embed.weight.data = tensor(kernel.transpose(3, 2, 0, 1))
    encoder.embed.bias.data, encoder.positions.data = tensor(params["embed"]["bias"]), tensor(params["positions"])
    for block, own in zip(encoder.blocks, params["blocks"].values(), strict=True):
        norm(block.norm_attention, own["norm_attention"])
        norm(block.norm_mlp, own["norm_mlp"])
        linear(block.mix, own["attention"]["mix"])
        linear(block.out, own["attention"]["out"])
        linear(block.widen, own["widen"])
        linear(block.narrow, own["narrow"])
    norm(encoder.norm, params["norm"])
    return encoder


def test_features_are_the_same() -> None:
    sizes = {"patch": 8, "width": 16, "depth": 2, "heads": 2, "expansion": 2}
    ours = ENCODERS["vit"](**sizes)
    images = np.asarray(jax.random.uniform(key(1), (5, 32, 32, 3)))
    params = ours.init(key(0), image_spec(32, 32, 3))
    found = encoder_with(params, 32, sizes)(tensor(images).permute(0, 3, 1, 2)).detach().numpy()
    assert np.allclose(found, ours.apply(params, {"image": images}), atol=2e-5)


def test_initial_parameters_have_the_same_law() -> None:
    sizes = {"patch": 8, "width": 64, "depth": 1, "heads": 2, "expansion": 2}
    ours = jax.tree.leaves(ENCODERS["vit"](**sizes).init(key(0), image_spec(32, 32, 3)))
    theirs = [leaf.detach().numpy() for leaf in peer_network.Encoder(32, 3, **sizes).parameters()]

    def laws(leaves: Any) -> Any:
        return np.array(sorted((np.size(leaf), np.std(leaf), np.mean(leaf)) for leaf in leaves))

    assert np.allclose(laws(ours), laws(theirs), rtol=0.1, atol=0.01)


def test_the_contrastive_loss_is_the_same() -> None:
    projected = np.asarray(jax.random.normal(key(2), (12, 8)))
    assert float(peer_network.nt_xent(tensor(projected), 0.07)) == pytest.approx(
        float(nt_xent(projected, 0.07)), rel=1e-5
    )


@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_the_probe_is_the_same(penalty: float) -> None:
    features = np.asarray(jax.random.normal(key(3), (60, 6)) * jnp.arange(1, 7))
    labels = (features[:, 0] + np.asarray(jax.random.normal(key(4), (60,))) > 0).astype(np.int32)
    ours = heads.solve(jnp.asarray(features), jnp.asarray(labels), jnp.int32(60), penalty)
    weights, intercepts = peer_study.solve(tensor(features), tensor(labels).float(), torch.tensor([penalty]))
    assert np.allclose(weights[0], ours.weights, atol=1e-3) and np.allclose(intercepts[0], ours.intercept, atol=1e-3)


def test_the_optimiser_takes_the_same_steps() -> None:
    schedule = Schedule(steps=20, batch=2, learning_rate=1e-2, warmup=0.2)
    start = {"w": np.asarray(jax.random.normal(key(5), (3, 4))), "b": np.ones(4, np.float32)}
    target = np.asarray(jax.random.normal(key(6), (3, 4)))

    def loss(params: Any) -> Any:
        return 5 * jnp.sum((params["w"] + params["b"] - target) ** 2)  # clipped at first

    transform = schedule.transformation()
    params: Any = jax.tree.map(jnp.asarray, start)
    moments = transform.init(params)
    w, b = (torch.nn.Parameter(tensor(start[name])) for name in ("w", "b"))
    step = peer_study.optimiser([w, b], [], schedule.model_dump())
    for i in range(20):
        updates, moments = transform.update(jax.grad(loss)(params), moments, params)
        params = optax.apply_updates(params, updates)
        step(i, lambda: 5 * ((w + b - tensor(target)) ** 2).sum())
    assert np.allclose(w.detach(), params["w"], atol=1e-5) and np.allclose(b.detach(), params["b"], atol=1e-5)
    assert not np.allclose(params["w"], start["w"], atol=1e-2)


def test_views_are_the_same() -> None:
    images = torch.rand(4, 3, 8, 8)
    off = {"scale": 0.0, "shift": 0.0, "flip": 0.0, "transpose": 0.0, "gain": 0.0, "offset": 0.0}

    def views(**levers: float) -> Any:
        return peer_network.Views(8, **off | levers)(images)

    assert torch.allclose(views(), images, atol=1e-5)
    assert torch.allclose(views(flip=1.0), images.flip(2, 3), atol=1e-5)
    assert torch.allclose(views(transpose=1.0), images.mT, atol=1e-5)
    moved = views(scale=0.2, shift=0.2)
    assert moved.min() >= images.min() - 1e-5 and moved.max() <= images.max() + 1e-5, "the edge pixel is repeated"
    gained = views(gain=0.3, offset=0.0) / images
    assert torch.allclose(gained.amin((2, 3)), gained.amax((2, 3)), rtol=1e-3), "one gain a channel"
