"""Signals of brain tissues against their equations, and magnitude images against Rician statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.generators import brain_acquisition, brain_signal
from biasprop.generators.brain_signal import SEQUENCES, Scan, Tissue, signals
from tests.members import same

NAMES = tuple(SEQUENCES)
SIZE = 64


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("t1w", {"GREY": 0.324, "WHITE": 0.393, "CSF": 0.169, "PLAQUE": 0.346}),
        ("t2w", {"GREY": 0.256, "WHITE": 0.184, "CSF": 0.582, "PLAQUE": 0.496}),
        ("flair", {"GREY": 0.150, "WHITE": 0.129, "CSF": 0.0, "PLAQUE": 0.363}),
        ("dwi", {"GREY": 0.135, "WHITE": 0.122, "CSF": 0.032, "PLAQUE": 0.163, "INFARCT": 0.246}),
    ],
)
def test_signals_are_those_of_the_equations(name: str, values: dict[str, float]) -> None:
    """Computed by hand from T1, T2, density and diffusion at 1.5 T."""
    found = np.asarray(signals(Scan(SEQUENCES[name], 1.5)))
    for tissue, value in values.items():
        assert found[Tissue[tissue]] == pytest.approx(value, rel=0.01, abs=6e-4), tissue


def test_contrast_agent_shortens_t1_of_the_rim() -> None:
    t1w = Scan(SEQUENCES["t1w"], 1.5)
    found = [float(signals(t1w, contrast_agent=agent)[Tissue.RIM]) for agent in (0.1, 0.2, 0.5)]
    assert found == pytest.approx([0.355, 0.428, 0.571], rel=0.01)
    without, agent = (np.asarray(signals(t1w, contrast_agent=c)) for c in (0.0, 0.5))
    assert same(np.delete(without, Tissue.RIM), np.delete(agent, Tissue.RIM))


@pytest.mark.parametrize(("field_strength", "inversion"), [(1.5, 1705), (3.0, 2445)])
def test_the_inversion_time_follows_the_field_strength_and_nulls_fluid(field_strength: float, inversion: float) -> None:
    t1, _ = brain_signal.relaxation_times(field_strength)
    assert float(brain_signal.inversion_time(t1[Tissue.CSF], 9000.0)) == pytest.approx(inversion, abs=2)
    found = np.asarray(signals(Scan(SEQUENCES["flair"], field_strength)))
    assert found[Tissue.CSF] < 1e-4 * found[Tissue.GREY]


def test_relaxation_times_at_3_tesla_are_those_of_the_table() -> None:
    t1, t2 = (np.asarray(times) for times in brain_signal.relaxation_times(3.0))
    assert t1[[Tissue.GREY, Tissue.WHITE]] == pytest.approx([1331, 832], rel=1e-3)
    assert t2[[Tissue.GREY, Tissue.WHITE]] == pytest.approx([90, 75], rel=1e-3)
    between, _ = brain_signal.relaxation_times(np.sqrt(1.5 * 3.0))  # a power of the field strength
    assert float(between[Tissue.GREY]) == pytest.approx(np.sqrt(833 * 1331), rel=1e-3)


def test_white_matter_is_brightest_in_t1w_and_fluid_in_t2w() -> None:
    """Orders that a reader expects: fluid is dark in all but ``t2w``, fat is bright in all but ``dwi``."""
    for name in NAMES:
        found = {
            tissue: float(value) for tissue, value in zip(Tissue, signals(Scan(SEQUENCES[name], 1.5)), strict=True)
        }
        grey, white, fluid = (found[tissue] for tissue in (Tissue.GREY, Tissue.WHITE, Tissue.CSF))
        assert (white > grey) == (name == "t1w")
        assert (fluid > grey) == (name == "t2w")
        assert (found[Tissue.FAT] > white) == (name != "dwi")


def test_magnitudes_are_rician() -> None:
    words = jax.random.bits(jax.random.key(0), (400, 400))
    for signal in (0.0, 0.5, 2.0, 8.0):
        drawn = np.asarray(brain_acquisition.magnitude(jnp.full((400, 400), signal), 1.0, words), np.float64)
        assert (drawn**2).mean() == pytest.approx(signal**2 + 2, rel=0.01)
        assert (drawn**2).var() == pytest.approx(4 * signal**2 + 4, rel=0.03)


def test_the_angle_of_the_noise_is_uniform_on_the_circle() -> None:
    """At one radius, over all angles: moments of a cosine."""
    count, signal, level = 1 << brain_acquisition.ANGLE_BITS, 3.0, 1 << 20
    words = jnp.arange(count, dtype=jnp.uint32).reshape(1, -1) + level * count
    squared = -2 * np.log((level + 0.5) / 2**22)
    drawn = np.asarray(brain_acquisition.magnitude(jnp.full((1, count), signal), 1.0, words), np.float64)
    cosine = (drawn**2 - signal**2 - squared) / (2 * signal * np.sqrt(squared))
    moments = [(cosine**order).mean() for order in range(1, 7)]
    assert moments == pytest.approx([0, 1 / 2, 0, 3 / 8, 0, 5 / 16], abs=1e-5)
    assert np.abs(cosine).max() == pytest.approx(np.cos(np.pi / 2 / count), abs=1e-5)


def test_the_sensitivity_has_its_range_and_is_smooth() -> None:
    draws = jax.random.normal(jax.random.key(1), (20, 3, 3))
    fields = np.asarray(jax.vmap(lambda one: brain_acquisition.sensitivity(one, SIZE, 0.2))(draws))
    assert fields.min(axis=(1, 2)) == pytest.approx(0.9, abs=1e-5)
    assert fields.max(axis=(1, 2)) == pytest.approx(1.1, abs=1e-5)
    assert np.abs(np.diff(fields, axis=1)).max() < 0.02
