"""The default source of pretraining examples: the cohort, simulated by the study's generator."""

from __future__ import annotations

from typing import ClassVar, Literal

from biasprop.component import Component


class CohortSource(Component):
    """In-domain pretraining on examples of the cohort."""

    kind: Literal["cohort"] = "cohort"

    shows_subjects: ClassVar[bool] = True
