"""The Gaussian generator against its closed forms."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.generators.gaussian import Gaussian
from tests.members import auc, images, measured, subjects

SUBGROUPS = {"smooth": {"slope": 4.0, "noise": 0.05}, "rough": {"amplitude": 0.05, "slope": 1.0, "noise": 0.03}}
N = 4_000


def make(**values: Any) -> Gaussian:
    """A generator with two different backgrounds."""
    return Gaussian.model_validate({"subgroups": SUBGROUPS} | values)


@pytest.mark.parametrize("subgroup", [0, 1])
def test_the_background_has_the_declared_power_and_variance(subgroup: int) -> None:
    generator = make(contrast=0.0)
    background = list(generator.subgroups.values())[subgroup]
    x = np.asarray(images(generator, subjects(N, subgroup)))[..., 0] - 0.5
    assert np.abs(x.mean(axis=0)).max() < 0.01
    assert x.var() == pytest.approx(background.amplitude**2 + background.noise**2, rel=0.03)
    power = np.mean(np.abs(np.fft.fft2(x)) ** 2, axis=0) / generator.size**2
    ratio = power / np.asarray(generator.power(background))
    assert np.abs(ratio - 1).max() < 0.15 and abs(ratio.mean() - 1) < 0.01


@pytest.mark.parametrize("subgroup", [0, 1])
def test_the_prewhitening_observer_reaches_the_ideal_auc(subgroup: int) -> None:
    generator, name = make(), list(SUBGROUPS)[subgroup]
    who = subjects(N, subgroup)
    x = np.fft.fft2(np.asarray(images(generator, who))[..., 0] - 0.5)
    template = np.fft.fft2(np.asarray(generator.signal())) / np.asarray(generator.power(generator.subgroups[name]))
    score = np.real(x * template.conj()).sum(axis=(1, 2))
    ideal = generator.ideal_auc(who._replace(subgroup=subgroup))
    assert 0.6 < ideal < 0.99
    assert auc(who.label, score) == pytest.approx(ideal, abs=0.02)
    # A plain matched filter ignores the background.
    plain = np.real(x * np.fft.fft2(np.asarray(generator.signal())).conj()).sum(axis=(1, 2))
    assert auc(who.label, plain) < ideal + 0.01


def test_the_measured_contrast_is_the_signals() -> None:
    generator = make(contrast=0.2)
    label = np.arange(N) % 2
    for subgroup in (0, 1):
        read = measured(generator, subjects(N, subgroup))["contrast"]
        assert read[label == 1].mean() - read[label == 0].mean() == pytest.approx(0.2, abs=0.01)


def test_zero_contrast_gives_chance_performance() -> None:
    generator = make(contrast=0.0)
    assert generator.ideal_auc(subjects(1)._replace(subgroup=0)) == pytest.approx(0.5)
    who = subjects(64)
    assert jnp.array_equal(images(generator, who), images(generator, who._replace(label=1 - who.label)))
