"""Drawing primitives: colour against published values, the random field against its stated distribution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, kurtosis, skew

from biasprop import keys
from biasprop.generators import canvas
from biasprop.nn.xla_barriers import image_barrier

SIZE, MODES, EXPONENT, KNEE, FIELDS = 32, 6, 3.0, 1.5, 3_000


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    """Many draws of one random field."""
    own = keys.at_each(keys.replicate(3, 0), jnp.arange(FIELDS))

    def draw(key: jax.Array) -> jax.Array:
        draws = canvas.normal(key, 2, canvas.field_draws_shape(MODES))
        return canvas.gaussian_field(draws, SIZE, exponent=EXPONENT, knee=KNEE)

    return np.asarray(jax.jit(jax.vmap(draw))(own))


def test_a_field_has_mean_0_and_variance_1_at_every_pixel(fields: np.ndarray) -> None:
    assert np.abs(fields.mean(axis=0)).max() < 5 / np.sqrt(FIELDS)
    assert np.abs(fields.var(axis=0) - 1).max() < 5 * np.sqrt(2 / FIELDS)
    assert abs(fields.var(axis=0).mean() - 1) < 0.02
    assert np.abs(fields.mean(axis=(1, 2))).max() < 1e-5, "no mode of frequency 0"


def test_a_field_is_gaussian(fields: np.ndarray) -> None:
    for pixel in (fields[:, 0, 0], fields[:, 10, 20], fields[:, 5, 3] - fields[:, 6, 3]):
        assert kstest(pixel / pixel.std(), "norm").pvalue > 1e-3
        assert abs(skew(pixel)) < 0.2 and abs(kurtosis(pixel)) < 0.4


def test_a_field_has_the_declared_spectrum(fields: np.ndarray) -> None:
    power = np.mean(np.abs(np.fft.fft2(fields)) ** 2, axis=0) / SIZE**4
    frequency = np.abs(np.fft.fftfreq(SIZE, 1 / SIZE))
    fy, fx = np.meshgrid(frequency, frequency, indexing="ij")
    inside = (fx <= MODES) & (fy <= MODES) & (fx + fy > 0)
    assert power[~inside].max() < 1e-10
    declared = np.where(inside, (fx**2 + fy**2 + KNEE**2) ** (-EXPONENT / 2), 0)
    # The power of a mode is in 2 entries of the transform if it lies along an axis, else in 4.
    declared = declared / declared.sum()
    ratio = power[inside] / declared[inside]
    assert abs(power.sum() - 1) < 0.02
    assert np.abs(ratio - 1).max() < 0.15 and abs(ratio.mean() - 1) < 0.02


def test_a_field_meets_itself_across_the_edges(fields: np.ndarray) -> None:
    across = np.mean((fields[:, :, 0] - fields[:, :, -1]) ** 2)
    within = np.mean((fields[:, :, 10] - fields[:, :, 11]) ** 2)
    assert abs(across / within - 1) < 0.1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # Lindbloom's tables of the sRGB primaries under D65.
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 1.0, 0.0), (87.73, -86.18, 83.18)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0.0, 0.0)),
    ],
)
def test_lab_of_srgb(code: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert np.allclose(canvas.lab(canvas.linear_light(jnp.array(code))), expected, atol=0.03)


def test_srgb_is_the_standard_curve_and_inverts() -> None:
    assert float(canvas.srgb(jnp.float32(0.5))) == pytest.approx(0.735357, abs=1e-5)
    assert float(canvas.srgb(jnp.float32(0.001))) == pytest.approx(0.01292, abs=1e-6)
    code = jnp.linspace(0, 1, 257)
    assert np.allclose(canvas.srgb(canvas.linear_light(code)), code, atol=1e-5)
    assert np.isfinite(jax.vmap(jax.grad(canvas.srgb))(code)).all()


def test_luminance_and_typology_angle() -> None:
    assert float(canvas.luminance(jnp.ones(3))) == pytest.approx(1.0, abs=1e-6)
    skin = canvas.linear_light(jnp.array([225.0, 185.0, 160.0]) / 255)
    lightness, _, yellow = np.asarray(canvas.lab(skin))
    assert float(canvas.typology_angle(skin)) == pytest.approx(np.degrees(np.arctan2(lightness - 50, yellow)), abs=1e-3)
    assert float(canvas.typology_angle(jnp.full(3, 0.05))) < -80, "dark grey is far below 0"


def test_the_grid_is_pixel_centres_about_the_middle() -> None:
    x, y = canvas.grid(4, 8.0)
    assert x.tolist() == y.tolist() == [-3.0, -1.0, 1.0, 3.0]


def test_latents_are_independent_of_each_other_and_of_their_neighbours() -> None:
    own = keys.at_each(keys.replicate(3, 0), jnp.arange(4_000))
    drawn = jax.vmap(lambda key: jnp.stack([canvas.normal(key, latent) for latent in range(6)]))(own)
    correlation = np.corrcoef(np.asarray(drawn).T) - np.eye(6)
    assert np.abs(correlation).max() < 4 / np.sqrt(4_000)
    assert np.abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 4 / np.sqrt(4_000)


@pytest.mark.parametrize("width", [12, 16, 40, 97, 216])
def test_a_barrier_changes_no_bit_of_an_image(width: int) -> None:
    """Widths below the shortest and above the longest row of the product, and one that is prime."""
    image = jax.random.normal(jax.random.key(0), (3, width))
    assert np.array_equal(np.asarray(image_barrier(image)), np.asarray(image))


def test_a_union_is_the_largest_of_an_image_and_its_parts() -> None:
    levels, shifts = jnp.asarray([1.0, 3.0, 2.0]), jnp.asarray([0.0, -4.0, 0.5])
    x, onto = jnp.arange(6.0).reshape(2, 3), jnp.full((2, 3), 1.25)
    drawn = canvas.union(lambda level, shift: level * jnp.sin(x) + shift, jnp.stack([levels, shifts]), onto)
    parts = levels[:, None, None] * jnp.sin(x) + shifts[:, None, None]
    assert np.allclose(drawn, np.maximum(onto, parts.max(axis=0)), atol=1e-6)
