"""Feature vectors of two Gaussian classes: examples that are not images, such as embeddings of some other model.

A subject can have two diseases. Each moves the mean along a direction in a plane of its own (features 1 and 2, features
3 and 4), by the same distance. In every subgroup, features are normal with equal covariance in both classes, so the
ideal observer of a disease is linear and ``d'`` is the distance of the class means over the sd (Barrett and Myers 2004,
ch. 13); the other disease is independent and in another plane, so it changes nothing. Subgroups may differ in noise,
in the direction along which the classes differ, and in their mean; a classifier that does not know the subgroup is then
worse than the ideal observer, by an amount that depends on the mix it was fitted to.
"""

from __future__ import annotations

import enum
import math
from typing import Annotated, ClassVar, Literal, Self

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component, OneOf
from biasprop.generators.canvas import normal, uniform
from biasprop.generators.difficulty import Natural
from biasprop.interfaces import ArraySpec, Example, Spec, Subjects


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    NOISE = 0
    OTHER_DISEASE = 1


class Cloud(Component):
    """Distribution of one subgroup's features."""

    noise: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Sd of every feature around its class mean."""
    angle: Annotated[float, Field(ge=-180, le=180)] = 0.0
    """Direction along which the classes differ, degrees from the first feature of the disease's plane to the second."""
    offset: Annotated[float, Field(ge=-10, le=10)] = 0.0
    """Mean of the last feature, in both classes: a cue of the subgroup that is not one of the disease."""


class FeatureVector(Component):
    """Gaussian vectors whose mean is moved by each disease, and by the subgroup."""

    kind: Literal["feature_vector"] = "feature_vector"
    length: Annotated[int, Field(ge=6, le=65_536)] = 16
    """Number of features."""
    subgroups: Annotated[dict[str, Cloud], Field(min_length=2)]
    """Name -> distribution of its features."""
    distance: Annotated[float, Field(ge=0, le=10)] = 1.5
    """Distance of the class means."""
    comorbidity: Annotated[float, Field(ge=0, le=1)] = 0.5
    """P(the disease that the label is not of)."""
    difficulty: Annotated[Natural, OneOf({"natural": Natural})] = Natural()
    """Difficulty mode: ``natural``."""

    diseases: ClassVar[tuple[str, ...]] = ("first", "second")
    latent_names: ClassVar[tuple[str, ...]] = ("severity", "log_likelihood_ratio")
    attribute_names: ClassVar[tuple[str, ...]] = ()
    follows_up: ClassVar[bool] = False
    symmetries: ClassVar[tuple[str, ...]] = ()

    @property
    def spec(self) -> Spec:
        """One vector, ``features``."""
        return {"features": ArraySpec((self.length,))}

    def calibrated(self) -> Self:
        """Itself: there are no constants to solve for."""
        return self

    def observe(self, subject: Subjects) -> Example:
        """The vector of a subject; a marker adds 1 to the fifth feature."""
        noise, direction, offset = self._levers(subject)
        if subject.noise is not None:
            noise = noise * subject.noise
        vector = noise * normal(subject.key, Latent.NOISE, (self.length,))
        other = (uniform(subject.key, Latent.OTHER_DISEASE) < self.comorbidity).astype(jnp.float32)
        severities = jnp.stack([jnp.asarray(subject.mean_severity, jnp.float32), other])
        order = jnp.stack([self._disease(subject), 1 - self._disease(subject)])
        moved = self.distance * severities[order][:, None] * direction
        vector = vector.at[:4].add(moved.reshape(4)).at[-1].add(offset)
        if subject.marker is not None:
            vector = vector.at[4].add(subject.marker)
        return {"features": vector}

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """Severity (the label unless there is a manifestation shift), and the log-likelihood ratio of disease given the
        vector and the subgroup, without shifts: the score of the ideal observer."""
        noise, direction, _ = self._levers(subject)
        plane = self.observe(subject)["features"][:4].reshape(2, 2)[self._disease(subject)]
        projected = plane @ direction
        ratio = self.distance * (projected - self.distance / 2) / noise**2
        return jnp.stack([jnp.asarray(subject.mean_severity, jnp.float32), ratio])

    def ideal_auc(self, subgroup: str) -> float:
        """AUC of the ideal observer of either disease in a subgroup, ``Phi(d' / sqrt 2)`` with
        ``d' = distance / noise``."""
        return 0.5 * math.erfc(-float(self.distance) / float(self.subgroups[subgroup].noise) / 2)

    def _disease(self, subject: Subjects) -> int | Int[Array, ""]:
        """Index of the disease that the label is of."""
        return 0 if subject.disease is None else subject.disease

    def _levers(self, subject: Subjects) -> tuple[Float[Array, ""], Float[Array, " 2"], Float[Array, ""]]:
        """Noise, direction of the signal and offset of the subject's subgroup."""
        noise, angle, offset = (
            jnp.stack([jnp.asarray(getattr(cloud, name), jnp.float32) for cloud in self.subgroups.values()])
            for name in ("noise", "angle", "offset")
        )
        turned = jnp.radians(angle[subject.subgroup])
        return noise[subject.subgroup], jnp.stack([jnp.cos(turned), jnp.sin(turned)]), offset[subject.subgroup]
