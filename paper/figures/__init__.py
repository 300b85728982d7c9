"""Figures of the manuscript, one file per figure.

A figure is a file with ``draw(cube, estimates, study) -> Figure``, as in ``biasprop.report.figures``, and a ``CAPTION``
that can be read without the text. To add one, write the file and one line in :data:`FIGURES`.
"""

from collections.abc import Callable
from typing import Any

from paper.figures import (
    contact_sheet,
    contrast_by_level,
    eigenvalue_crossing,
    forest,
    injected_skew,
    known_answer,
    learning_curves,
    persistence,
    phase_diagram,
    share_curves,
    skew_against_auc,
    stability,
    test_mix,
    worth,
)

FIGURES: dict[str, tuple[Callable[..., Any], str]] = {
    "contact_sheet": (contact_sheet.draw, contact_sheet.CAPTION),
    "share_curves": (share_curves.draw, share_curves.CAPTION),
    "persistence": (persistence.draw, persistence.CAPTION),
    "learning_curves": (learning_curves.draw, learning_curves.CAPTION),
    "phase_diagram": (phase_diagram.draw, phase_diagram.CAPTION),
    "skew_against_auc": (skew_against_auc.draw, skew_against_auc.CAPTION),
    "test_mix": (test_mix.draw, test_mix.CAPTION),
    "contrast_by_level": (contrast_by_level.draw, contrast_by_level.CAPTION),
    "worth": (worth.draw, worth.CAPTION),
    "forest": (forest.draw, forest.CAPTION),
    "eigenvalue_crossing": (eigenvalue_crossing.draw, eigenvalue_crossing.CAPTION),
    "injected_skew": (injected_skew.draw, injected_skew.CAPTION),
    "stability": (stability.draw, stability.CAPTION),
    "known_answer": (known_answer.draw, known_answer.CAPTION),
}
"""Name -> function that draws it, and its caption."""
