"""Interfaces of generators: what every generator provides, and capabilities that only some have."""

from __future__ import annotations

import enum
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from biasprop.interfaces.examples import Example, Spec, Subjects


class Generator(Protocol):
    """Simulates what is observed of subjects. Every method is per subject; batch with ``jax.vmap``."""

    kind: str
    subgroups: dict[str, Any]
    """Name -> levers of the subgroup, in the order of the study file."""
    diseases: ClassVar[tuple[str, ...]]
    """Names of the diseases that a subject can have; the first is the one that a cohort's prevalence is of."""
    latent_names: ClassVar[tuple[str, ...]]
    """Names of the latents stored with every scored subject."""

    attribute_names: ClassVar[tuple[str, ...]]
    """Names of attributes that could be annotated and are independent of disease and subgroup; may be empty."""
    follows_up: ClassVar[bool]
    """Whether it can render follow-up images (:attr:`Subjects.months`)."""

    symmetries: ClassVar[tuple[str, ...]]
    """Fields of :class:`biasprop.nn.views.Augmentation` among ``flip`` and ``transpose`` that map images to images that
    are equally likely; empty if images have a left and a right, or if there is no image."""

    @property
    def spec(self) -> Spec:
        """Shape and type of every array of an example."""
        ...

    def observe(self, subject: Subjects) -> Example:
        """The example of a subject."""
        ...

    def latents(self, subject: Subjects) -> Float[Array, " k"]:
        """The values of ``latent_names``."""
        ...

    def attributes(self, subject: Subjects) -> Float[Array, " a"]:
        """The values of ``attribute_names``, standardised (mean 0, sd 1); needed only if there are any."""
        ...


class Part(enum.IntEnum):
    """Parts of a table of people, which do not overlap."""

    PRETRAINING = 0
    """The pretraining cohort."""
    FINETUNING = 1
    """Labelled subjects and the validation set."""
    EVALUATION = 2
    """The calibration and the test set."""


@runtime_checkable
class HasPeople(Protocol):
    """A generator of a finite population: its subjects are people of a table, and nothing about them is simulated.

    A subject (:attr:`Subjects.row`) exists in its own subgroup alone, so there are no twins.
    """

    @property
    def available(self) -> NDArray[np.int64]:
        """Number of people by part, subgroup and label, and for pretraining of their images: [part, g, 2]."""
        ...

    @property
    def rows(self) -> int:
        """Number of images, of which a person may have several."""
        ...

    def with_people(self, order: Int[Array, " people"], images: Int[Array, " rows"]) -> Any:
        """A copy that can observe subjects: it has the arrays of the table.

        Args:
            order: a permutation of the people, which decides who is taken first; see :meth:`row`.
            images: a permutation of the rows, which decides by what image each is represented.
        """
        ...

    def row(
        self, part: Part, subgroup: Int[Array, "*n"], label: Int[Array, "*n"], rank: Int[Array, "*n"]
    ) -> Int[Array, "*n"]:
        """The row of the ``rank``-th person of a part, subgroup and label, in the order of :meth:`with_people`.

        There is none for ranks from the number of such people on: :meth:`Generator.observe` gives NaN.
        """
        ...


def has_people(generator: Any) -> bool:
    """Whether a generator, in a difficulty mode or not, takes its subjects from a table."""
    return isinstance(getattr(generator, "plain", generator), HasPeople)


@runtime_checkable
class RendersImages(Protocol):
    """A generator whose examples have an ``image``."""

    subgroups: dict[str, Any]
    anatomy_differs: ClassVar[bool]
    """Whether subgroups may differ in anatomy, so that twins may differ in their masks."""

    def render(self, subject: Subjects) -> Float[Array, "h w c"]:
        """The image, in [0, 1]."""
        ...

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the structure that carries the disease, in [0, 1]."""
        ...

    def measure(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Lever -> its value as estimated from the pixels."""
        ...


@runtime_checkable
class HasDose(Protocol):
    """A generator that uses :attr:`Subjects.dose`: the variance of the noise grows as the dose falls, and nothing else
    changes."""

    def matching_doses(self) -> dict[str, float]:
        """Subgroup -> dose at which its ideal observer has the AUC of the hardest subgroup's at dose 1, in (0, 1].

        Raises:
            ValueError: no doses make the subgroups equally hard.
        """
        ...


@runtime_checkable
class HasContrast(Protocol):
    """A generator that uses :attr:`Subjects.contrast`: what a disease adds to the image is fainter, and nothing else
    changes."""

    def matching_contrasts(self) -> dict[str, dict[str, float]]:
        """Disease -> subgroup -> contrast at which its observer of the disease has the AUC of the hardest subgroup's at
        contrast 1, in (0, 1].

        Raises:
            ValueError: no contrasts make the subgroups equally hard.
        """
        ...


@runtime_checkable
class HasBijection(Protocol):
    """A generator that uses :attr:`Subjects.reference`: a bijection, which depends on the subgroups alone, maps images
    of one subgroup to those of another."""

    def reference_subgroup(self) -> Int[Array, ""]:
        """Index of the subgroup whose images can be mapped to those of all others without leaving [0, 1]."""
        ...


@runtime_checkable
class HasSlope(Protocol):
    """A generator that uses :attr:`Subjects.slope`: at opposite slopes, subgroups of equal levers are mirror images."""

    def slope_incompatibility(self) -> str | None:
        """What the generator needs with its present levers before its images show a slope, or None."""
        ...

    def measure_slope(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> Float[Array, ""]:
        """The slope as estimated from the pixels, degrees."""
        ...


@runtime_checkable
class HasIdealObserver(Protocol):
    """A generator whose ideal observer is known in closed form."""

    def ideal_auc(self, subject: Subjects) -> float:
        """AUC of the ideal observer in the subgroup and circumstances of a subject; key and label are not used."""
        ...


@runtime_checkable
class HasInformedObserver(Protocol):
    """A generator whose label acts through known latents alone, which bounds every observer from above."""

    def informed_auc(self, subject: Subjects) -> float:
        """AUC of an observer who knows these latents, in the subgroup and circumstances of a subject."""
        ...


@runtime_checkable
class HasLinearObserver(Protocol):
    """A generator with a linear model of its images, whose ideal observer is known."""

    def linear_auc(self, subject: Subjects) -> float:
        """AUC of the ideal observer of the linear model, in the subgroup and circumstances of a subject."""
        ...


@runtime_checkable
class HasLaw(Protocol):
    """A generator of Gaussian images, to which label 1 adds a known signal."""

    def law(self, subject: Subjects) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The signal [pixel], and the pixel covariance [pixel, pixel] in the subgroup and circumstances of a subject.

        Raises:
            ValueError: in these circumstances the signal differs between subgroups.
        """
        ...
