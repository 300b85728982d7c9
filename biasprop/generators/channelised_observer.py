"""The channelised Hotelling observer of a linear model of the image, in closed form.

About one subject the outputs of the channels are ``x = f(y) + J (u - u0) + noise``, with the label y and standard
normal latents ``u``. Both classes have one covariance ``K = J J' + N``, so with the mean signal ``s = f(1) - f(0)`` the
best linear rule has

    d'^2 = s' K^-1 s,    AUC = Phi(d' / sqrt 2)

(Barrett and Myers 2004, ch. 13). Channels are the lowest cosines of the image. They are fewer than the latents of the
anatomical background, so that anatomy hides a faint disease even where noise is low, which it does not from an observer
of all pixels (Gallas and Barrett 2003).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from biasprop import keys
from biasprop.generators.doses import matching_factors
from biasprop.interfaces import Subjects

CHANNEL_MODES = 7
"""Cosines along each axis."""
PATIENTS_DRAWN = 16
"""Number of drawn patients about which the linear model is built."""


def mean_auc(generator: Any, subject: Subjects) -> float:
    """AUC of the observer of the disease that the label states, mean over :data:`PATIENTS_DRAWN` drawn patients.

    Args:
        generator: with ``_draws(subject)``, a named tuple of standard normals and ``uniform``, which the observer
            knows; and ``_without_noise(subject, draws)``, the mean image and the sd of its noise.
        subject: circumstances; its key is not used, and its disease and contrasts are stated.
    """
    from scipy.special import ndtr

    drawn = keys.at_each(keys.stream(keys.replicate(0, 0), keys.Stream.TRUTH), jnp.arange(PATIENTS_DRAWN))
    return float(np.mean(ndtr(np.sqrt(np.asarray(_squared_distances(generator, subject, drawn), np.float64) / 2))))


def matching_contrasts(generator: Any) -> dict[str, dict[str, float]]:
    """Contrasts at which the generator's ``linear_auc`` is the same in all subgroups, for every disease.

    One at a time, with the others at the contrasts found so far, because each is part of the background of the others;
    in two rounds, after which AUCs agree within .001.

    Raises:
        ValueError: no contrasts make the subgroups equally hard.
    """
    from scipy.special import ndtri

    names, diseases = list(generator.subgroups), generator.diseases
    found = {disease: dict.fromkeys(names, 1.0) for disease in diseases}

    def z(disease: str, name: str, contrast: float) -> float:
        index = jnp.int32(diseases.index(disease))
        own = jnp.asarray([contrast if other == disease else found[other][name] for other in diseases])
        about = Subjects(keys.replicate(0, 0), jnp.int32(names.index(name)), jnp.int32(0))
        return float(np.sqrt(2) * ndtri(generator.linear_auc(about._replace(disease=index, contrast=own))))

    for disease in 2 * diseases:
        found[disease] = matching_factors(functools.partial(z, disease), names, "contrast")
    return found


@functools.cache
def cosines(size: int, count: int) -> np.ndarray:
    """The lowest cosines on ``size`` pixels, at most one per pixel, orthonormal: [size, count]."""
    k = np.arange(min(count, size))
    modes = np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, k)) * np.sqrt(2 / size)
    modes[:, 0] /= np.sqrt(2)
    return modes.astype(np.float32)


def squared_distance(
    image: Callable[[Any, Float[Array, ""]], tuple[Float[Array, "h w"], Float[Array, "h w"]]], about: Any
) -> Float[Array, ""]:
    """``d'^2`` of the observer about one subject.

    Args:
        image: (latents, mean severity) -> the mean image and the sd of its noise; latents are a pytree of standard
            normals.
        about: the subject's latents, about which the model is linear; the derivative is that half-way between the
            classes.
    """
    flat, rebuild = ravel_pytree(about)

    def outputs(latents: Float[Array, " m"], severity: float) -> Float[Array, " c"]:
        mean, _ = image(rebuild(latents), jnp.float32(severity))
        modes = jnp.asarray(cosines(len(mean), CHANNEL_MODES))
        return (modes.T @ mean @ modes).ravel()

    slopes = jax.jacrev(outputs)(flat, 0.5)
    _, sd = image(about, jnp.float32(0.5))
    modes = jnp.asarray(cosines(len(sd), CHANNEL_MODES))
    channels = jnp.einsum("ya,xb->abyx", modes, modes).reshape(-1, sd.size)
    signal = outputs(flat, 1.0) - outputs(flat, 0.0)
    covariance = slopes @ slopes.T + (channels * sd.ravel() ** 2) @ channels.T
    return signal @ jnp.linalg.solve(covariance, signal)


@jax.jit
def _squared_distances(generator: Any, subject: Subjects, drawn: Key[Array, " n"]) -> Float[Array, " n"]:
    """``d'^2`` about patients with these keys, in the circumstances of a subject."""

    def about(key: Key[Array, ""]) -> Float[Array, ""]:
        own = subject._replace(key=key)
        draws = generator._draws(own)

        def image(latents: Any, severity: Float[Array, ""]) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
            return generator._without_noise(own._replace(label=severity), latents._replace(uniform=draws.uniform))

        return squared_distance(image, draws._replace(uniform={}))

    return jax.lax.map(about, drawn)
