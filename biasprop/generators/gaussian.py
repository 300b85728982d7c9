"""The Gaussian control: a known signal in a stationary Gaussian background, with closed-form answers.

The background is a periodic Gaussian random field with the power spectrum of the subgroup,
``NPS(f) = s^2 / (f^2 + f0^2)^(b/2) + s_w^2``; the signal is a fixed Gaussian blob. Both are known exactly, so the ideal
observer is the prewhitening matched filter and ``d'^2 = sum |S(f)|^2 / (N NPS(f))`` (Barrett and Myers 2004, ch. 13).
"""

from __future__ import annotations

import enum
import functools
from typing import Annotated, Any, ClassVar, Literal, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field, model_validator

from biasprop.component import Component, OneOf
from biasprop.generators import canvas
from biasprop.generators.canvas import normal
from biasprop.generators.difficulty import DIFFICULTIES, Calibrated, Natural, check_subgroups
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

    difficulty: Annotated[Any, OneOf(DIFFICULTIES)] = Natural()
    """Difficulty mode: how hard the task is in one subgroup relative to another. ``calibrated`` divides a background's
    variance by its dose; ``invertible`` adds the blob to the first subgroup's background and then filters the whole
    image to each subgroup's spectrum; ``symmetric`` rotates the long axis of one stretched background to opposite
    slopes."""

    channels: ClassVar[int] = 1
    diseases: ClassVar[tuple[str, ...]] = ("blob",)
    latent_names: ClassVar[tuple[str, ...]] = ("mean_level", "severity")
    attribute_names: ClassVar[tuple[str, ...]] = ()
    follows_up: ClassVar[bool] = False

    @model_validator(mode="after")
    def difficulty_goes_with_the_subgroups(self) -> Self:
        """``symmetric`` needs two equal subgroups with an anisotropic background."""
        check_subgroups(self.difficulty, self.subgroups)
        if self.difficulty.kind == "symmetric" and not next(iter(self.subgroups.values())).stretch:
            raise ValueError(
                "difficulty = symmetric needs a background with stretch != 0; an isotropic one has no slope"
            )
        return self

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def signal(self) -> Float[Array, "h w"]:
        """The blob that label 1 adds."""
        x, y = canvas.grid(self.size, 1.0)
        return self.contrast * jnp.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * self.width**2))

    def calibrated(self) -> Self:
        """A copy with the doses of mode ``calibrated``, in closed form: ``d'^2`` is proportional to the dose."""
        if not self.difficulty.needs_calibration:
            return self
        d_squared = {
            name: self._detectability(power) for name, power in zip(self.subgroups, self._powers(), strict=True)
        }
        dose = {name: min(d_squared.values()) / squared for name, squared in d_squared.items()}
        return self.model_copy(update={"difficulty": Calibrated(dose=dose)})

    def power(self, background: Background, slope: float | Float[Array, ""] = 0.0) -> Float[Array, "h w"]:
        """Noise power at each frequency of ``numpy.fft.fft2``'s grid; its mean is the pixel variance.

        Args:
            background: levers of the subgroup.
            slope: slope of the long axis, degrees; 0 is along a row.
        """
        frequency = jnp.fft.fftfreq(self.size, 1 / self.size)
        down, across = frequency[:, None], frequency[None, :]
        along = jnp.exp(jnp.asarray(background.stretch, jnp.float32))
        if self.difficulty.kind == "symmetric":
            cos, sin = jnp.cos(jnp.radians(slope)), jnp.sin(jnp.radians(slope))
            down, across = down * cos - across * sin, across * cos + down * sin
        squared = down**2 / along + across**2 * along
        shape = (squared + self.knee**2) ** (-background.slope / 2)
        if self.difficulty.kind == "symmetric":  # the Nyquist frequency stands for both its signs
            shape = (shape + jnp.roll(shape[::-1, ::-1], 1, axis=(0, 1))) / 2
        return background.amplitude**2 * shape / jnp.mean(shape) + background.noise**2

    def law(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The signal that label 1 adds, and subgroup -> pixel covariance, in double precision.

        Returns:
            [pixel] and [pixel, pixel], pixels row by row. The backgrounds are stationary and periodic, so the Hartley
            transform diagonalises every covariance.

        Raises:
            ValueError: with ``invertible``, which filters the signal too, so that it differs between subgroups.
        """
        if self.difficulty.kind == "invertible":
            raise ValueError("with difficulty = invertible the signal differs between subgroups")
        solved = self.calibrated()
        basis = _hartley_2d(self.size, turned=self.difficulty.kind == "symmetric")
        powers = zip(self.subgroups, solved._powers(), strict=True)
        covariances = {name: (basis * np.asarray(power, np.float64).ravel()) @ basis for name, power in powers}
        return np.asarray(self.signal(), np.float64).ravel(), covariances

    def ideal_auc(self, subgroup: str) -> float:
        """AUC of the ideal observer in a subgroup, ``Phi(d' / sqrt 2)``; bijections do not change it."""
        from scipy.special import ndtr

        names = list(self.subgroups)
        background = names[0] if self.difficulty.kind == "invertible" else subgroup
        power = self.calibrated()._powers()[names.index(background)]
        return float(ndtr(np.sqrt(self._detectability(power) / 2)))

    def _detectability(self, power: Float[Array, "h w"]) -> float:
        """``d'^2`` of the ideal observer."""
        spectrum = jnp.abs(jnp.fft.fft2(self.signal())) ** 2
        return float(jnp.sum(spectrum / power)) / self.size**2

    def _backgrounds(self) -> list[Background]:
        """Every subgroup's background at its dose."""
        levels = self.subgroups
        if self.difficulty.kind != "calibrated":
            return list(levels.values())
        scale = {name: jnp.asarray(self.difficulty.dose.get(name, 1.0), jnp.float32) ** -0.5 for name in levels}
        return [
            level.model_copy(update={"amplitude": scale[name] * level.amplitude, "noise": scale[name] * level.noise})
            for name, level in levels.items()
        ]

    def _powers(self) -> list[Float[Array, "h w"]]:
        """Noise power of every subgroup."""
        angle = self.difficulty.angle if self.difficulty.kind == "symmetric" else 0.0
        return [self.power(level, angle * (1 - 2 * g)) for g, level in enumerate(self._backgrounds())]

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """Mean grey level of the image, and severity (the label unless there is a manifestation shift)."""
        return jnp.stack([jnp.mean(self.render(subject)), jnp.asarray(subject.mean_severity, jnp.float32)])

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The image, with mean .5; not clipped, because that would make the background non-Gaussian."""
        white = normal(subject.key, Latent.FIELD, (self.size, self.size))
        levels, powers = self._backgrounds(), self._powers()
        invertible, turned = (self.difficulty.kind == kind for kind in ("invertible", "symmetric"))
        spectrum = jnp.int32(0) if invertible else subject.subgroup
        # All subgroups filter the same white field, so twins differ by their spectrum alone.
        roots = jnp.stack([jnp.sqrt(power - b.noise**2) for power, b in zip(powers, levels, strict=True)])
        noise = jnp.stack([jnp.asarray(b.noise, jnp.float32) for b in levels])[spectrum]
        field = _filter(white, roots[spectrum], turned)
        if subject.noise is not None:
            noise = subject.noise * noise
        grain = noise * normal(subject.key, Latent.NOISE, (self.size, self.size))
        image = 0.5 + subject.mean_severity * self.signal() + field + grain
        if invertible:
            image = 0.5 + _filter(image - 0.5, jnp.sqrt(jnp.stack(powers) / powers[0])[subject.subgroup], turned)
        if subject.marker is not None:
            image = canvas.draw_marker(image, subject.marker, 0.9)
        return image[..., None]

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """The blob relative to its peak; 0 everywhere for label 0."""
        return subject.label * self.signal() / jnp.maximum(self.contrast, 1e-9)

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """``level`` (mean), ``amplitude`` (sd over the image), ``roughness`` (sd of differences of neighbours over
        sd), ``stretch`` (log of the sd of differences down a column over that along a row) and ``contrast``
        (matched-filter output over the signal's energy, minus the mean level); in ``symmetric`` also ``slope`` (of the
        texture's long axis, degrees)."""
        grey = image[..., 0]
        template = self.signal() / jnp.maximum(self.contrast, 1e-9)
        template = template - jnp.mean(template)
        sd = jnp.std(grey)
        along, down = jnp.std(grey[:, 1:] - grey[:, :-1]), jnp.std(grey[1:] - grey[:-1])
        read = {"slope": canvas.minor_axis_angle(grey)} if self.difficulty.kind == "symmetric" else {}
        return read | {
            "level": jnp.mean(grey),
            "amplitude": sd,
            "roughness": along / sd,
            "stretch": jnp.log(down / along),
            "contrast": jnp.sum(grey * template) / jnp.sum(template**2),
        }


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
