"""Subjects, and what is observed of them.

An example, which is what is observed of one subject, is a dict of named arrays; examples of several subjects are a dict
of arrays with a leading axis. The names in use are ``image`` (``h w c``, in [0, 1]) and ``features`` (a vector).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, Key

Params = Any
"""A pytree of arrays."""


Example = dict[str, Array]
"""Name -> array: what is observed of one subject, or of several where every array has a leading axis."""


class ArraySpec(NamedTuple):
    """Shape and type of one array of an example."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * np.dtype(self.dtype).itemsize


Spec = Mapping[str, ArraySpec]
"""Name -> shape and type of each array of one example."""


class Subjects(NamedTuple):
    """Properties of a subject that the population determines; a generator draws everything else from the subject's key.

    One subject, or a batch if every field has a leading axis. Optional fields are None if they do not apply, and are
    then absent from the compiled program; a generator must use those that are set. The last four are set by difficulty
    modes, for generators with the matching capability (:class:`HasDose`, :class:`HasContrast`, :class:`HasSlope`,
    :class:`HasBijection`).
    """

    key: Key[Array, "*n"]
    """Source of all latents of the subject."""
    subgroup: Int[Array, "*n"]
    """Index into the generator's subgroups."""
    label: Int[Array, "*n"]
    """True label: 1 diseased, 0 healthy."""
    presentation: Float[Array, "*n"] | None = None
    """Manifestation shift: relative change in the severity of a diseased subject (0.5: 50 % more); None equals 0."""
    noise: Float[Array, "*n"] | None = None
    """Factor on the sd of the image noise; None equals 1."""
    marker: Int[Array, "*n"] | None = None
    """1 if the image contains a marker (a shortcut unrelated to the disease's appearance); None equals 0."""
    months: Float[Array, "*n"] | None = None
    """Months since the first image, for a follow-up image of the same subject: anatomy is the same, disease has
    progressed, and latents of a single image (light, noise) are redrawn. None is the first image."""
    exposure: Float[Array, "*n"] | None = None
    """Factor on the light that reaches the sensor; None equals 1."""
    disease: Int[Array, "*n"] | None = None
    """Index, among the generator's diseases, of the one that ``label`` states; None for the first. The generator draws
    the others, if there are any, from the subject's key."""
    dose: Float[Array, "*n"] | None = None
    """Dose of the image (such as light) as a fraction of the natural one, in (0, 1]; None equals 1."""
    contrast: Float[Array, "*n d"] | None = None
    """Factor on what each of the generator's diseases adds to the image, in (0, 1]; None equals 1."""
    slope: Float[Array, "*n"] | None = None
    """Slope of oriented structure in the image, degrees; the opposite slope is its mirror image. None: the image has no
    structure that is oriented for this purpose."""
    reference: Int[Array, "*n"] | None = None
    """Index of the subgroup in which the image is made, noise included, before a bijection maps it to ``subgroup``;
    None: it is made in ``subgroup``."""

    row: Int[Array, "*n"] | None = None
    """Row of the subject in the table of a generator that has one (:class:`HasPeople`); None where subjects are
    simulated."""

    @property
    def imaged_subgroup(self) -> Array:
        """Index of the subgroup in which the image is made."""
        return self.subgroup if self.reference is None else self.reference

    @property
    def mean_severity(self) -> Array:
        """Mean severity given the label: 0 healthy, 1 diseased, ``1 + presentation`` under a manifestation shift."""
        return self.label if self.presentation is None else self.label * (1 + self.presentation)
