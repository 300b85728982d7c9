"""A scanner and its protocol: dose, slice, kernel, exposure control and window, and the noise and blur they give.

A slice is in Hounsfield units (HU) until the window. The kernel sets the blur (a Gaussian point spread function) and
the shape of the noise's power spectrum, ``f exp(-(f / f_c)^2)``: the ramp of filtered back projection times an
apodisation. Dose, slice thickness and the patient's size set its scale.
"""

from __future__ import annotations

import functools
from typing import Annotated

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.nn.xla_barriers import barrier

NOISE_HU, REFERENCE_DOSE, REFERENCE_SLICE, REFERENCE_DIAMETER = 12.0, 8.0, 2.5, 28.0
"""Sd of the noise with the soft kernel, HU, at this dose (mGy), slice thickness (mm) and water-equivalent diameter of
the chest (cm)."""
WATER_PER_CM = 0.19
"""Attenuation of water, 1 / cm: without exposure control the noise doubles for every 7.3 cm of diameter."""
SOFT_CUTOFF, SHARP_CUTOFF = 0.25, 0.57
"""``f_c`` of the soft and the sharp kernel, cycles / mm: .35 and .8 of the Nyquist frequency of pixels of .7 mm."""
SOFT_FWHM, SHARP_FWHM = 1.1, 0.7
"""Full width at half maximum of the point spread function of the soft and the sharp kernel, mm."""
ITERATIVE_NOISE, ITERATIVE_CUTOFF = 0.45, 0.3
"""Relative loss of noise and of ``f_c`` at the full strength of iterative reconstruction."""

SCANNERS: dict[str, dict[str, float]] = {
    "thin_soft_iterative": {"dose": 5.0, "slice_thickness": 1.25, "kernel": 0.1, "iterative": 0.6},
    "thin_sharp": {"dose": 8.0, "slice_thickness": 1.25, "kernel": 0.9},
    "screening": {"dose": 1.6, "slice_thickness": 1.25, "kernel": 0.4, "iterative": 0.5, "exposure_control": 0.8},
    "low_dose_sharp": {"dose": 2.0, "slice_thickness": 2.5, "kernel": 0.8, "exposure_control": 0.2},
    "thick_soft": {"dose": 10.0, "slice_thickness": 5.0, "kernel": 0.0, "exposure_control": 0.0},
}
"""Preset -> levers of a scanner and its protocol; conventions within the range of clinical practice, not products."""


class Scanner(Component):
    """How a subgroup is scanned."""

    dose: Annotated[float, Field(ge=0.2, le=20)] = 8.0
    """Volume computed tomography dose index, mGy (routine about 8, screening 1 to 3)."""
    slice_thickness: Annotated[float, Field(ge=0.5, le=10)] = 2.5
    """Thickness of a slice, mm; thick slices average small structures with the lung beside them."""
    kernel: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Reconstruction kernel between soft (0) and sharp (1)."""
    iterative: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of iterative reconstruction: 0 is filtered back projection."""
    exposure_control: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Automatic exposure control: 0 is one tube current for all, 1 gives patients of every size the same noise."""
    window_level: Annotated[float, Field(ge=-900, le=100)] = -500.0
    """Centre of the display window, HU."""
    window_width: Annotated[float, Field(ge=400, le=3000)] = 1500.0
    """Width of the display window, HU."""

    def cutoff(self) -> Float[Array, ""]:
        """``f_c`` of the noise's power spectrum, cycles / mm; the spectrum has its peak at ``f_c / sqrt(2)``."""
        kernel = SOFT_CUTOFF + (SHARP_CUTOFF - SOFT_CUTOFF) * jnp.asarray(self.kernel, jnp.float32)
        return kernel * (1 - ITERATIVE_CUTOFF * self.iterative)

    def blur(self) -> Float[Array, ""]:
        """Sd of the point spread function, mm."""
        return sd_of_fwhm(SOFT_FWHM + (SHARP_FWHM - SOFT_FWHM) * jnp.asarray(self.kernel, jnp.float32))

    def noise(self, diameter: Float[Array, ""], exposure: float | Float[Array, ""]) -> Float[Array, ""]:
        """Sd of the noise, HU.

        A spectrum whose low frequencies stay as they are has a variance proportional to ``f_c^3``.

        Args:
            diameter: water-equivalent diameter of the chest, cm.
            exposure: factor on the dose.
        """
        sharper = ((SOFT_CUTOFF + (SHARP_CUTOFF - SOFT_CUTOFF) * self.kernel) / SOFT_CUTOFF) ** 1.5
        size = jnp.exp((1 - self.exposure_control) * WATER_PER_CM * (diameter - REFERENCE_DIAMETER) / 2)
        photons = self.dose * exposure / REFERENCE_DOSE * self.slice_thickness / REFERENCE_SLICE
        return NOISE_HU * sharper * size / jnp.sqrt(photons) * (1 - ITERATIVE_NOISE * self.iterative)

    def windowed(self, hu: Float[Array, "h w"]) -> Float[Array, "h w"]:
        """Code values in [0, 1] of a slice in HU."""
        return jnp.clip((hu - self.window_level) / self.window_width + 0.5, 0, 1)


def sd_of_fwhm(width: float | Float[Array, ""]) -> Float[Array, ""]:
    """Sd of a Gaussian of this full width at half maximum."""
    return jnp.asarray(width, jnp.float32) / float(np.sqrt(8 * np.log(2)))


def shaped_noise(white: Float[Array, "h w"], cutoff: Float[Array, ""]) -> Float[Array, "h w"]:
    """Stationary, periodic noise of variance 1 with the power spectrum ``f exp(-(f / cutoff)^2)``.

    The transform is the Hartley transform, which is real, orthogonal and its own inverse; a gain that is even in every
    frequency then gives a stationary field. The exponential is separable.

    Args:
        white: standard normals.
        cutoff: cycles per pixel.
    """
    transform, ramp, frequency = map(jnp.asarray, (_hartley(len(white)), _ramp(len(white)), _frequencies(len(white))))
    apodisation = jnp.exp(-0.5 * (frequency / cutoff) ** 2)
    power = apodisation**2
    scale = len(white) / jnp.sqrt(power @ ramp**2 @ power)
    side = barrier(transform * apodisation)
    return side @ (scale * ramp * white) @ side.T


def _frequencies(size: int) -> np.ndarray:
    """Frequencies of the transform, cycles per pixel, without sign."""
    return np.abs(np.fft.fftfreq(size)).astype(np.float32)


@functools.cache
def _ramp(size: int) -> np.ndarray:
    """Square root of the radial frequency, cycles per pixel."""
    f = _frequencies(size)
    return np.sqrt(np.hypot(f[:, None], f[None, :])).astype(np.float32)


@functools.cache
def _hartley(size: int) -> np.ndarray:
    """The orthonormal Hartley transform of ``size`` pixels, rows by pixel and columns by frequency."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    return ((np.cos(angle) + np.sin(angle)) / np.sqrt(size)).astype(np.float32)
