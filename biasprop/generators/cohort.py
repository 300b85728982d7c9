"""The usual source of pretraining: the cohort's own images, drawn by the study's generator."""

from __future__ import annotations

from typing import ClassVar, Literal

from biasprop.component import Component


class OfCohort(Component):
    """Pretraining in the domain of the task, on subjects."""

    kind: Literal["cohort"] = "cohort"

    shows_subjects: ClassVar[bool] = True
