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
from biasprop.nn.optimisation import ConstantSchedule, Schedule
from biasprop.nn.stopping import Plateau
from biasprop.normalisations import NORMALISATIONS
from biasprop.objectives.contrastive import nt_xent
from biasprop.optimisers import OPTIMISERS
from biasprop.protocols.full import LayerwiseSchedule
from biasprop.protocols.linear_probe import LinearProbe
from biasprop.tasks.disease import Disease
from tests.benchmarks import images, peer_stopping

torch = pytest.importorskip("torch", reason="needs the extra benchmark")

from tests.benchmarks import peer_network, peer_optimiser, peer_probe  # noqa: E402
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
    sizes: dict[str, Any] = {"patch": 8, "width": 64, "depth": 1, "heads": 2, "expansion": 2}
    encoder = ENCODERS["vit"](**sizes | {"normalisation": NORMALISATIONS["fixed"]()})
    ours = jax.tree.leaves(encoder.init(key(0), image_spec(32, 32, 3)))
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
    weights, intercepts = peer_probe.solve(tensor(features), tensor(labels).float(), torch.tensor([penalty]))
    assert np.allclose(weights[0], ours.weights, atol=1e-3) and np.allclose(intercepts[0], ours.intercept, atol=1e-3)


@pytest.mark.parametrize("budget", [25, 75])
@pytest.mark.parametrize("noise", [0.1, 3.0, 30.0])
def test_the_probe_has_the_same_penalty(budget: int, noise: float) -> None:
    features = np.asarray(jax.random.normal(key(3), (90, 6)) * jnp.arange(1, 7))
    labels = (features[:, 0] + noise * np.asarray(jax.random.normal(key(4), (90,))) > 0).astype(np.int32)
    told = LinearProbe(min_labels=50, folds=4)
    m = budget // 5
    n = budget - m
    train, held_out = (features[:60], labels[:60]), (features[60:], labels[60:])
    ours = told.fit(Disease(), *train, jnp.int32(n), *held_out, jnp.int32(m))
    parts, targets = ([tensor(one[at][:k]) for one, k in ((train, n), (held_out, m))] for at in (0, 1))
    weights, intercept = peer_probe.fitted(parts, [one.float() for one in targets], told.model_dump(), budget)
    assert np.allclose(weights, ours.weights, atol=1e-3) and np.allclose(intercept, ours.intercept, atol=1e-3)


SHAPES = {"wide": (3, 8), "tall": (8, 3), "square": (4, 4), "again": (3, 8), "bias": (4,)}


def random_leaves(seed: int) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(jax.random.normal(jax.random.fold_in(key(seed), at), shape))
        for at, (name, shape) in enumerate(SHAPES.items())
    }


@pytest.mark.parametrize("schedule", [Schedule, ConstantSchedule])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_updates_are_the_same(kind: str, schedule: type[Schedule]) -> None:
    told = schedule(steps=6, batch=2, learning_rate=1.0, weight_decay=0.1, warmup=0.5, optimiser=OPTIMISERS[kind]())
    transform = told.transformation()
    params: Any = jax.tree.map(jnp.asarray, random_leaves(0))
    moments = transform.init(params)
    leaves = {name: torch.nn.Parameter(tensor(value)) for name, value in random_leaves(0).items()}
    step = peer_optimiser.optimiser([(1.0, leaves.values())], [], images.schedule_of(told))
    for i in range(6):
        gradients = jax.tree.map(jnp.asarray, random_leaves(1 + i))
        updates, moments = transform.update(gradients, moments, params)
        params = optax.apply_updates(params, jax.tree.map(lambda update: 0.5 * update, updates))
        step(i, lambda g=gradients: sum((leaf * tensor(g[name])).sum() for name, leaf in leaves.items()), 0.5)
        for name, leaf in leaves.items():
            assert np.allclose(leaf.detach(), params[name], rtol=0, atol=2e-5), (name, i)
    assert not np.allclose(params["wide"], random_leaves(0)["wide"], atol=0.1)


def test_torchs_own_muon_has_other_updates() -> None:
    told = Schedule(steps=9, batch=2, learning_rate=1.0, warmup=0, weight_decay=0, optimiser=OPTIMISERS["muon"]())
    ours, other = (torch.nn.Parameter(torch.zeros(3, 8)) for _ in range(2))
    theirs = torch.optim.Muon([other], lr=1.0, weight_decay=0.0, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    step = peer_optimiser.optimiser([(1.0, [ours])], [], images.schedule_of(told) | {"decay": "constant"})
    for i in range(2):
        gradient = tensor(random_leaves(i)["wide"])
        step(i, lambda g=gradient: (ours * g).sum())
        other.grad = gradient
        theirs.step()
    assert (ours - other).abs().max() > 0.01, "it could be used in place of ours"


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_layers_have_the_same_rates(kind: str) -> None:
    sizes = {"patch": 8, "width": 16, "depth": 2, "heads": 2, "expansion": 2}
    encoder = ENCODERS["vit"](**sizes)
    pictures = np.asarray(jax.random.uniform(key(1), (6, 32, 32, 3)))
    params: Any = {
        "encoder": encoder.init(key(0), image_spec(32, 32, 3)),
        "head": heads.Head(jax.random.normal(key(2), (16,)), jnp.float32(0.1)),
    }
    labels = np.array([0, 1, 1, 0, 1, 0])
    told = ConstantSchedule(steps=3, batch=2, learning_rate=0.01, warmup=0, optimiser=OPTIMISERS[kind]())
    numbers = encoder.layers(params["encoder"])
    rates = jax.tree.map(lambda number: 0.5 ** (sizes["depth"] + 1 - number), numbers)
    transform = LayerwiseSchedule(told, rates).transformation()

    def loss(params: Any) -> Any:
        return heads.log_loss(params["head"](encoder.apply(params["encoder"], {"image": pictures})), labels).mean()

    model: Any = peer_network.Classifier(encoder_with(params["encoder"], 32, sizes), 16)
    model.restart(tensor(params["head"].weights), tensor(params["head"].intercept))
    layers = model.encoder.layers()
    step = peer_optimiser.optimiser(
        peer_optimiser.decayed_layers(layers, 0.5), model.head.parameters(), images.schedule_of(told)
    )
    gradients: Any = jax.grad(loss)(params)
    updates, _ = transform.update(gradients, transform.init(params), params)
    found: Any = optax.apply_updates(params, updates)
    inputs, wanted = tensor(pictures).permute(0, 3, 1, 2), tensor(labels).float()
    step(0, lambda: torch.nn.functional.binary_cross_entropy_with_logits(model(inputs), wanted))
    expected, slopes = (
        dict(encoder_with(tree["encoder"], 32, sizes).named_parameters()) for tree in (found, gradients)
    )
    for name, leaf in model.encoder.named_parameters():
        known = slopes[name].abs() > 1e-6  # the bias of attention's keys has no gradient, whose sign Adam follows
        assert known.float().mean() > 0.6, name
        assert torch.allclose(leaf[known], expected[name][known], rtol=0, atol=2e-6), name
    assert np.allclose(model.head.weight[0].detach(), found["head"].weights, atol=2e-5)


RULES = {
    "default": {},
    "impatient": {"patience": 100, "smoothing": 0.0},
    "long cool-down": {"patience": 150, "cooldown": 0.7, "shortest": 400},
    "without": {"cooldown": 0.0, "patience": 200},
    "few labels": {"min_labels": 500, "fixed_steps": 330, "cooldown": 0.1},
}


@pytest.mark.parametrize("changes", RULES.values(), ids=RULES)
@pytest.mark.parametrize("seed", range(3))
def test_training_ends_at_the_same_step(changes: dict[str, Any], seed: int) -> None:
    steps, labels, told = 1_300, 200, Plateau(**changes)
    noise = np.random.default_rng(seed).normal(size=40)
    series = np.exp(-np.arange(40) / 4) + 0.02 * np.arange(40) / 10 + 0.02 * noise
    course = told.start(jnp.int32(steps), jnp.int32(labels))
    rule: Any = peer_stopping.rule({"schedule": {"steps": steps}, "stopping": told.model_dump()}, labels)
    for segment, loss in enumerate(series, start=1):
        assert (rule.start, rule.end) == (int(course.cooldown.start), int(course.cooldown.end))
        assert rule.validated == bool(course.validated)
        for step in (50 * segment - 50, rule.start, rule.start + 3, rule.end):
            assert rule.factor(step) == pytest.approx(float(course.cooldown.factor(jnp.int32(step))), abs=1e-6)
        course = told.follow(course, jnp.int32(50 * segment), jnp.float32(loss))
        rule.follow(50 * segment, float(np.float32(loss)))
    assert rule.end <= steps


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_normalised_images_are_the_same(kind: str) -> None:
    pictures = np.asarray(jax.random.uniform(key(7), (20, 8, 8, 3))) * np.array([0.2, 0.5, 1.0], np.float32)
    constants = {"mean": pictures.mean((0, 1, 2)), "sd": pictures.std((0, 1, 2))}
    ours = NORMALISATIONS[kind]().apply(jnp.asarray(pictures), constants)
    theirs: Any = peer_network.Normalisation(kind, 3)
    theirs.measure(tensor(pictures).permute(0, 3, 1, 2))
    found = theirs(tensor(pictures).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert np.allclose(found, ours, atol=1e-5)


def test_hidden_patches_are_left_out() -> None:
    encoder: Any = peer_network.Encoder(32, 3, patch=8, width=16, depth=1, heads=2, expansion=2)
    pictures = torch.rand(3, 3, 32, 32)
    seen = []
    encoder.blocks.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    encoder(pictures)
    encoder(pictures, 75)
    assert [tuple(tokens.shape) for tokens in seen] == [(3, 16, 16), (3, 4, 16)]
    assert all((token == seen[0][n]).all(-1).any() for n in range(3) for token in seen[1][n])


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
