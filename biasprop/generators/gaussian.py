"""The Gaussian control: a known signal in a stationary Gaussian background, with closed-form answers.

The background is a periodic Gaussian random field with the power spectrum of the subgroup,
``NPS(f) = s^2 / (f^2 + f0^2)^(b/2) + s_w^2``; the signal is a fixed Gaussian blob. Both are known exactly, so the ideal
observer is the prewhitening matched filter and ``d'^2 = sum |S(f)|^2 / (N NPS(f))`` (Barrett and Myers 2004, ch. 13).

A subject's dose divides the variance of the background. A slope turns the long axis of a stretched background. With a
reference subgroup, the blob is added to the background of that subgroup, and the image is then filtered to the spectrum
of the subject's own.
"""

from __future__ import annotations

import enum
import functools
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component
from biasprop.generators import canvas
from biasprop.generators.canvas import normal
from biasprop.generators.images import ImageGenerator
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
    """Log ratio of texture length along a row to that along a column; 0 is isotropic."""
    noise: Annotated[float, Field(gt=0, le=1)] = 0.04
    """Sd of the white noise."""


class Gaussian(ImageGenerator):
    """Grey image of a Gaussian background; label 1 adds a known blob."""

    kind: Literal["gaussian"] = "gaussian"
    size: Annotated[int, Field(ge=8, le=256)] = 16
    """Pixels along a side; must be a multiple of the encoder's patch."""
    subgroups: Annotated[dict[str, Background], Field(min_length=2)]
    """Name -> background."""
    knee: Annotated[float, Field(gt=0, le=64)] = 1.0
    """Frequency below which the power law is flat, cycles per view."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.06
    """Peak of the blob."""
    width: Annotated[float, Field(gt=0, le=1)] = 0.12
    """Sd of the blob, as a fraction of the view."""

    channels: ClassVar[int] = 1
    diseases: ClassVar[tuple[str, ...]] = ("blob",)
    latent_names: ClassVar[tuple[str, ...]] = ("mean_level", "severity")
    attribute_names: ClassVar[tuple[str, ...]] = ()
    follows_up: ClassVar[bool] = False

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def signal(self) -> Float[Array, "h w"]:
        """The blob that label 1 adds."""
        x, y = canvas.grid(self.size, 1.0)
        return self.contrast * jnp.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * self.width**2))

    def power(self, background: Background, slope: Float[Array, ""] | None = None) -> Float[Array, "h w"]:
        """Noise power at each frequency of ``numpy.fft.fft2``'s grid; its mean is the pixel variance.

        Args:
            background: levers of the subgroup.
            slope: slope of the long axis, degrees; None: it is along a row.
        """
        frequency = jnp.fft.fftfreq(self.size, 1 / self.size)
        down, across = frequency[:, None], frequency[None, :]
        along = jnp.exp(jnp.asarray(background.stretch, jnp.float32))
        if slope is not None:
            cos, sin = jnp.cos(jnp.radians(slope)), jnp.sin(jnp.radians(slope))
            down, across = down * cos - across * sin, across * cos + down * sin
        squared = down**2 / along + across**2 * along
        shape = (squared + self.knee**2) ** (-background.slope / 2)
        if slope is not None:  # the Nyquist frequency stands for both its signs
            shape = (shape + jnp.roll(shape[::-1, ::-1], 1, axis=(0, 1))) / 2
        return background.amplitude**2 * shape / jnp.mean(shape) + background.noise**2

    def law(self, subject: Subjects) -> tuple[np.ndarray, np.ndarray]:
        """The signal that label 1 adds, and the pixel covariance of a subject's subgroup, in double precision.

        Returns:
            [pixel] and [pixel, pixel], pixels row by row. The backgrounds are stationary and periodic, so the Hartley
            transform diagonalises every covariance.

        Raises:
            ValueError: the image is filtered to another subgroup's spectrum, so the signal differs between subgroups.
        """
        if subject.reference is not None:
            raise ValueError("the signal differs between subgroups, because it is filtered with the image")
        basis = _hartley_2d(self.size, turned=subject.slope is not None)
        power = np.asarray(self._powers(subject)[int(subject.subgroup)], np.float64)
        if subject.noise is not None:
            white = float(self._backgrounds(subject)[int(subject.subgroup)].noise)
            power = power + (float(subject.noise) ** 2 - 1) * white**2
        covariance = (basis * power.ravel()) @ basis
        return np.asarray(self.signal(), np.float64).ravel(), covariance

    def ideal_auc(self, subject: Subjects) -> float:
        """AUC of the ideal observer, ``Phi(d' / sqrt 2)``; bijections do not change it."""
        from scipy.special import ndtr

        power = self._powers(subject)[int(subject.imaged_subgroup)]
        return float(ndtr(np.sqrt(self._detectability(power) / 2)))

    def matching_doses(self) -> dict[str, float]:
        """Doses at which all ideal observers match, in closed form: ``d'^2`` is proportional to the dose."""
        d_squared = {name: self._detectability(self.power(level)) for name, level in self.subgroups.items()}
        return {name: min(d_squared.values()) / squared for name, squared in d_squared.items()}

    def reference_subgroup(self) -> Int[Array, ""]:
        """The first subgroup; its images are filtered to the spectra of the others."""
        return jnp.int32(0)

    def slope_incompatibility(self) -> str | None:
        """Only the long axis of an anisotropic background has a slope."""
        anisotropic = all(level.stretch for level in self.subgroups.values())
        return None if anisotropic else "a background with stretch != 0; an isotropic one has no slope"

    def _detectability(self, power: Float[Array, "h w"]) -> float:
        """``d'^2`` of the ideal observer."""
        spectrum = jnp.abs(jnp.fft.fft2(self.signal())) ** 2
        return float(jnp.sum(spectrum / power)) / self.size**2

    def _backgrounds(self, subject: Subjects) -> list[Background]:
        """Every subgroup's background at the dose of a subject, which divides its variance."""
        levels = list(self.subgroups.values())
        if subject.dose is None:
            return levels
        scale = subject.dose**-0.5
        return [b.model_copy(update={"amplitude": scale * b.amplitude, "noise": scale * b.noise}) for b in levels]

    def _powers(self, subject: Subjects) -> list[Float[Array, "h w"]]:
        """Noise power of every subgroup at the dose and slope of a subject."""
        return [self.power(background, subject.slope) for background in self._backgrounds(subject)]

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """Mean grey level of the image, and severity (the label unless there is a manifestation shift)."""
        return jnp.stack([jnp.mean(self.render(subject)), jnp.asarray(subject.mean_severity, jnp.float32)])

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The image, with mean .5 without exposure shift; not clipped, so that the background stays Gaussian."""
        white = normal(subject.key, Latent.FIELD, (self.size, self.size))
        levels, powers, turned = self._backgrounds(subject), self._powers(subject), subject.slope is not None
        spectrum = subject.imaged_subgroup
        # All subgroups filter the same white field, so twins differ by their spectrum alone.
        roots = jnp.stack([jnp.sqrt(power - b.noise**2) for power, b in zip(powers, levels, strict=True)])
        noise = jnp.stack([jnp.asarray(b.noise, jnp.float32) for b in levels])[spectrum]
        field = _filter(white, roots[spectrum], turned)
        if subject.noise is not None:
            noise = subject.noise * noise
        grain = noise * normal(subject.key, Latent.NOISE, (self.size, self.size))
        image = 0.5 + subject.mean_severity * self.signal() + field + grain
        if subject.reference is not None:
            ratio = jnp.sqrt(jnp.stack(powers) / jnp.stack(powers)[subject.reference])[subject.subgroup]
            image = 0.5 + _filter(image - 0.5, ratio, turned)
        if subject.exposure is not None:
            image = subject.exposure * image
        if subject.marker is not None:
            image = canvas.draw_marker(image, subject.marker, 0.9)
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

    def measure_slope(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> Float[Array, ""]:
        """Slope of the long axis of the texture, degrees."""
        return canvas.minor_axis_angle(image[..., 0])


@functools.cache
def _hartley(size: int) -> np.ndarray:
    """The orthonormal discrete Hartley transform (a real Fourier transform and its own inverse) as a matrix."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    return ((np.cos(angle) + np.sin(angle)) / np.sqrt(size)).astype(np.float32)


def _hartley_2d(size: int, turned: bool) -> np.ndarray:
    """The orthonormal two-dimensional Hartley transform as a matrix [pixel, frequency], which is symmetric.

    Args:
        size: pixels along a side.
        turned: use the sum of both angles, which diagonalises every periodic stationary covariance; otherwise transform
            the axes separately, which does so only for spectra even in each frequency but takes half the products.
    """
    axis = _hartley(size).astype(np.float64)
    if not turned:
        return np.kron(axis, axis)
    cos, sin = (part.astype(np.float64) for part in _hartley_parts(size))
    return np.kron(cos, cos) - np.kron(sin, sin) + np.kron(sin, cos) + np.kron(cos, sin)


@functools.cache
def _hartley_parts(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine parts of the Hartley transform."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    return (np.cos(angle) / np.sqrt(size)).astype(np.float32), (np.sin(angle) / np.sqrt(size)).astype(np.float32)


def _filter(image: Float[Array, "h w"], root: Float[Array, "h w"], turned: bool) -> Float[Array, "h w"]:
    """Multiply an image's spectrum by a factor, by two Hartley transforms (see :func:`_hartley_2d`)."""
    transform = jnp.asarray(_hartley(image.shape[0]))
    if not turned:
        return transform @ (root * (transform @ image @ transform)) @ transform
    cos, sin = (jnp.asarray(part) for part in _hartley_parts(image.shape[0]))

    def transform_2d(field: Float[Array, "h w"]) -> Float[Array, "h w"]:
        down, slanted = (cos + sin) @ field, (cos - sin) @ field
        return down @ cos + slanted @ sin

    return transform_2d(root * transform_2d(image))
