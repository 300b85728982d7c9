"""The control with known answers: a known signal in a stationary Gaussian background.

The background is a torus-periodic Gaussian random field whose power spectrum is the subgroup's,
``NPS(f) = s^2 / (f^2 + f0^2)^(b/2) + s_w^2``; the signal is a fixed Gaussian blob. Both are known exactly, so the ideal
observer is the prewhitening matched filter and ``d'^2 = sum |S(f)|^2 / (N NPS(f))`` (Barrett and Myers 2004, ch. 13).
"""

from __future__ import annotations

import enum
import functools
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.generators import canvas
from biasprop.generators.canvas import normal
from biasprop.interfaces import Subjects


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    FIELD = 0
    NOISE = 1


class Background(Component):
    """The background of one subgroup."""

    amplitude: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Sd of the correlated field, in units of the full range of the image."""
    slope: Annotated[float, Field(ge=0, le=6)] = 3.0
    """Exponent of the power law."""
    stretch: Annotated[float, Field(ge=-3, le=3)] = 0.0
    """Log of how many times longer the texture is along a row than along a column; 0 has no direction."""
    noise: Annotated[float, Field(gt=0, le=1)] = 0.04
    """Sd of the white noise."""


class Gaussian(Component):
    """Grey image of a known blob in a Gaussian background; label 1 has the blob."""

    kind: Literal["gaussian"] = "gaussian"
    size: Annotated[int, Field(ge=8, le=256)] = 16
    """Pixels along a side; must be a multiple of the encoder's patch."""
    subgroups: Annotated[dict[str, Background], Field(min_length=2)]
    """Name -> background."""
    knee: Annotated[float, Field(gt=0, le=64)] = 1.0
    """Frequency at which the power law flattens, cycles a view."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.06
    """Peak of the blob."""
    width: Annotated[float, Field(gt=0, le=1)] = 0.12
    """Sd of the blob, in fractions of the view."""

    latent_names: ClassVar[tuple[str, ...]] = ("mean_level", "severity")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.size, self.size, 1

    def signal(self) -> Float[Array, "h w"]:
        """What label 1 adds."""
        x, y = canvas.grid(self.size, 1.0)
        return self.contrast * jnp.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * self.width**2))

    def power(self, background: Background) -> Float[Array, "h w"]:
        """Noise power at each frequency of ``numpy.fft.fft2``'s grid; its mean is the pixel variance."""
        frequency = jnp.fft.fftfreq(self.size, 1 / self.size)
        along = jnp.exp(jnp.asarray(background.stretch, jnp.float32))
        squared = frequency[:, None] ** 2 / along + frequency[None, :] ** 2 * along
        shape = (squared + self.knee**2) ** (-background.slope / 2)
        return background.amplitude**2 * shape / jnp.mean(shape) + background.noise**2

    def law(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """What label 1 adds to the pixels, and subgroup -> their covariance, in double precision.

        Returns:
            [pixel] and [pixel, pixel], pixels row by row. Stationary on a torus with a spectrum even in both
            frequencies: the Hartley transform of both axes diagonalises every covariance.
        """
        axis = _hartley(self.size).astype(np.float64)
        waves = np.kron(axis, axis)
        power = {name: np.asarray(self.power(b), np.float64).ravel() for name, b in self.subgroups.items()}
        covariances = {name: (waves * values) @ waves for name, values in power.items()}
        return np.asarray(self.signal(), np.float64).ravel(), covariances

    def ideal_auc(self, subgroup: str) -> float:
        """AUC of the ideal observer in one subgroup, ``Phi(d' / sqrt 2)``."""
        from scipy.stats import norm

        spectrum = jnp.abs(jnp.fft.fft2(self.signal())) ** 2
        detectability = jnp.sum(spectrum / self.power(self.subgroups[subgroup])) / self.size**2
        return float(norm.cdf(np.sqrt(float(detectability) / 2)))

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """Mean level of the image and severity (the label, or how far the disease has come)."""
        return jnp.stack([jnp.mean(self.render(subject)), jnp.asarray(subject.extent, jnp.float32)])

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The image around .5; not clipped, because clipping would make the background non-Gaussian."""
        white = normal(subject.key, Latent.FIELD, (self.size, self.size))
        levels = list(self.subgroups.values())
        # Every subgroup shapes the same white field, so twins differ by their spectrum alone.
        roots = jnp.stack([jnp.sqrt(self.power(b) - b.noise**2) for b in levels])
        noise = jnp.stack([jnp.asarray(b.noise, jnp.float32) for b in levels])[subject.subgroup]
        field = _filter(white, roots[subject.subgroup])
        if subject.noise is not None:
            noise = subject.noise * noise
        grain = noise * normal(subject.key, Latent.NOISE, (self.size, self.size))
        image = 0.5 + subject.extent * self.signal() + field + grain
        if subject.marker is not None:
            image = canvas.mark(image, subject.marker, 0.9)
        return image[..., None]

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """The blob relative to its peak; 0 everywhere for label 0."""
        return subject.label * self.signal() / jnp.maximum(self.contrast, 1e-9)

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """``level`` (mean), ``amplitude`` (sd over the image), ``roughness`` (sd of differences of neighbours over
        sd), ``stretch`` (log of the sd of differences down a column over that along a row) and ``contrast``
        (matched-filter output over the signal's energy, minus the mean level)."""
        grey = image[..., 0]
        template = self.signal() / jnp.maximum(self.contrast, 1e-9)
        template = template - jnp.mean(template)
        sd = jnp.std(grey)
        along, down = jnp.std(grey[:, 1:] - grey[:, :-1]), jnp.std(grey[1:] - grey[:-1])
        return {
            "level": jnp.mean(grey),
            "amplitude": sd,
            "roughness": along / sd,
            "stretch": jnp.log(down / along),
            "contrast": jnp.sum(grey * template) / jnp.sum(template**2),
        }


@functools.cache
def _hartley(size: int) -> np.ndarray:
    """The orthonormal discrete Hartley transform, its own inverse: a real Fourier transform as one matrix."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    return ((np.cos(angle) + np.sin(angle)) / np.sqrt(size)).astype(np.float32)


def _filter(white: Float[Array, "h w"], root: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Shape white noise to a power spectrum that is even in both frequencies, by two Hartley transforms."""
    transform = jnp.asarray(_hartley(white.shape[0]))
    return transform @ (root * (transform @ white @ transform)) @ transform
