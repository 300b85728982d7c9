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
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from biasprop import keys
from biasprop.generators import canvas
from biasprop.generators.doses import matching_factors
from biasprop.interfaces import Subjects

CHANNEL_MODES = 7
"""Cosines along each axis."""
PATIENTS_DRAWN = 16
"""Number of drawn patients about which the linear model is built."""

Image = Callable[[Any, Float[Array, ""]], tuple[Float[Array, "h w"], Float[Array, "h w"]]]
"""(latents, mean severity) -> the mean image and the sd of its noise; latents are a pytree of standard normals."""


class HasLinearModel(Protocol):
    """A generator of which the observer has a linear model."""

    diseases: ClassVar[tuple[str, ...]]

    @property
    def subgroups(self) -> Mapping[str, Any]:
        """Name -> levers."""
        ...

    def linear_auc(self, subject: Subjects) -> float:
        """AUC of the observer, from :func:`mean_auc`."""
        ...

    def linear_model(self, subject: Subjects) -> tuple[Any, Image]:
        """The latents of a subject that vary in the model, about which it is linear, and the image as a function of
        them; the observer knows everything else."""
        ...


def mean_auc(generator: HasLinearModel, subject: Subjects) -> float:
    """AUC of the observer of the disease that the label states, mean over :data:`PATIENTS_DRAWN` drawn patients.

    Args:
        generator: has a linear model.
        subject: circumstances; its key and label are not used.
    """
    from scipy.special import ndtr

    drawn = keys.at_each(keys.stream(keys.replicate(0, 0), keys.Stream.TRUTH), jnp.arange(PATIENTS_DRAWN))
    return float(np.mean(ndtr(np.sqrt(np.asarray(_squared_distances(generator, subject, drawn), np.float64) / 2))))


def matching_contrasts(generator: HasLinearModel) -> dict[str, dict[str, float]]:
    """Contrasts at which the generator's ``linear_auc`` is the same in all subgroups, for every disease.

    Several are found one at a time, with the others at the contrasts found so far, because each is part of the
    background of the others; in two rounds, after which AUCs agree within .001.

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

    for disease in diseases if len(diseases) == 1 else 2 * diseases:
        found[disease] = matching_factors(functools.partial(z, disease), names, "contrast")
    return found


def squared_distance(image: Image, about: Any) -> Float[Array, ""]:
    """``d'^2`` of the observer about one subject.

    Args:
        image: of the linear model.
        about: the subject's latents, about which the model is linear; the derivative is that half-way between the
            classes.
    """
    flat, rebuild = ravel_pytree(about)

    def outputs(latents: Float[Array, " m"], severity: float) -> Float[Array, " c"]:
        mean, _ = image(rebuild(latents), jnp.float32(severity))
        modes = jnp.asarray(canvas.cosines(len(mean), CHANNEL_MODES))
        return (modes.T @ mean @ modes).ravel()

    slopes = jax.jacrev(outputs)(flat, 0.5)
    _, sd = image(about, jnp.float32(0.5))
    modes = jnp.asarray(canvas.cosines(len(sd), CHANNEL_MODES))
    channels = jnp.einsum("ya,xb->abyx", modes, modes).reshape(-1, sd.size)
    signal = outputs(flat, 1.0) - outputs(flat, 0.0)
    covariance = slopes @ slopes.T + (channels * sd.ravel() ** 2) @ channels.T
    return signal @ jnp.linalg.solve(covariance, signal)


@jax.jit
def _squared_distances(generator: Any, subject: Subjects, drawn: Key[Array, " n"]) -> Float[Array, " n"]:
    """``d'^2`` about patients with these keys, in the circumstances of a subject."""

    def about(key: Key[Array, ""]) -> Float[Array, ""]:
        latents, image = generator.linear_model(subject._replace(key=key))
        return squared_distance(image, latents)

    return jax.lax.map(about, drawn)
