"""The default source of pretraining images: the cohort, rendered by the study's generator."""

from __future__ import annotations

from typing import ClassVar, Literal

from biasprop.component import Component


class CohortSource(Component):
    """In-domain pretraining on images of the cohort."""

    kind: Literal["cohort"] = "cohort"

    shows_subjects: ClassVar[bool] = True
