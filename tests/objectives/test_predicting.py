"""Denoising, next-scan prediction and supervision: inputs, targets, and special cases in which two are equal."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.nn.layers import patchify
from biasprop.study.load import load_study
from biasprop.training import pretraining_task
from tests.members import images, member, same, subjects
from tests.objectives.test_objective_contract import ENCODER, GENERATOR, KEY, start

WHO = subjects(16)


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """Images of all subjects."""
    return images(GENERATOR, WHO)


def loss(objective: Any, params: Any, x: jax.Array, **read: Any) -> float:
    """Loss of one batch."""
    return float(objective.loss(ENCODER, params["encoder"], params["extra"], {"image": x}, KEY, **read))


def test_corruption_is_noise_and_erased_pixels(batch: jax.Array) -> None:
    x = np.asarray(batch)
    seen = np.asarray(member("objectives", "denoising", noise=0.3, erased=0.25).corrupted(KEY, batch))
    erased = (seen == 0.5).all(axis=-1)
    assert erased.mean() == pytest.approx(0.25, abs=0.02)
    assert (seen - x)[~erased].std() == pytest.approx(0.3, rel=0.03)
    assert len({row.tobytes() for row in erased}) == len(erased), "all images have the same corruption"
    assert same(member("objectives", "denoising", noise=0.0, erased=0.0).corrupted(KEY, batch), batch)


@pytest.mark.parametrize(("kind", "name"), [("denoising", None), ("next_scan", "follow_up")])
def test_predicting_mid_grey_gives_the_power_of_the_target(kind: str, name: Any, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective)
    params["extra"]["pixels"] = jnp.zeros_like(params["extra"]["pixels"])
    read = pretraining_task.additional_inputs(objective, GENERATOR, WHO)
    target = patchify(4 * (read.get(name, {"image": batch})["image"] - 0.5), ENCODER.patch)
    assert loss(objective, params, batch, **read) == pytest.approx(float(jnp.mean(target**2)), rel=1e-5)


def test_the_same_scan_again_is_denoising_without_noise(batch: jax.Array) -> None:
    clean, scan = member("objectives", "denoising", noise=0.0, erased=0.0), member("objectives", "next_scan")
    params = start(clean)
    assert loss(scan, params, batch, follow_up={"image": batch}) == loss(clean, params, batch)
    later = pretraining_task.additional_inputs(scan, GENERATOR, WHO)["follow_up"]
    assert later["image"].shape == batch.shape and loss(scan, params, batch, follow_up=later) != loss(
        clean, params, batch
    )


def test_supervision_reads_the_attribute_it_names(batch: jax.Array) -> None:
    values = jax.vmap(GENERATOR.attributes)(WHO)
    for place, name in [(0, ""), *enumerate(GENERATOR.attribute_names)]:
        read = pretraining_task.additional_inputs(member("objectives", "supervised", attribute=name), GENERATOR, WHO)
        assert same(read["attribute"], values[:, place])
    objective = member("objectives", "supervised")
    params = start(objective)
    silent = params | {"extra": jax.tree.map(jnp.zeros_like, params["extra"])}
    attribute = values[:, 0]
    assert loss(objective, silent, batch, attribute=attribute) == pytest.approx(float(jnp.mean(attribute**2)), rel=1e-5)


@pytest.mark.parametrize(
    ("study", "objective", "message"),
    [
        ("skin_tone", '{kind = "supervised", attribute = "pigmant"}', "no attribute 'pigmant'"),
        ("gaussian_control", '"supervised"', "gaussian has none"),
        ("mirror_null", '{kind = "next_scan", month = 3}', "month"),
        ("gaussian_control", '"next_scan"', "gaussian has none"),
        ("gaussian_control", '"denoising"', "needs an encoder with tokens"),
    ],
)
def test_unavailable_inputs_raise(study: str, objective: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(f"studies/{study}.toml", set=[f"pretraining.objective={objective}"])
