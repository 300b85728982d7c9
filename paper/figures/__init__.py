"""Figures of the manuscript, one file a figure: a caption and ``draw(cube, estimates, study) -> Figure``."""

from collections.abc import Callable
from typing import Any

from paper.figures import (
    contact_sheet,
    eigenvalue_crossing,
    forest,
    known_answer,
    learning_curves,
    persistence,
    phase_diagram,
    share_curves,
    skew_against_auc,
    test_mix,
)

FIGURES: dict[str, tuple[Callable[..., Any], str]] = {
    "contact_sheet": (contact_sheet.draw, contact_sheet.CAPTION),
    "share_curves": (share_curves.draw, share_curves.CAPTION),
    "persistence": (persistence.draw, persistence.CAPTION),
    "learning_curves": (learning_curves.draw, learning_curves.CAPTION),
    "phase_diagram": (phase_diagram.draw, phase_diagram.CAPTION),
    "skew_against_auc": (skew_against_auc.draw, skew_against_auc.CAPTION),
    "test_mix": (test_mix.draw, test_mix.CAPTION),
    "forest": (forest.draw, forest.CAPTION),
    "eigenvalue_crossing": (eigenvalue_crossing.draw, eigenvalue_crossing.CAPTION),
    "known_answer": (known_answer.draw, known_answer.CAPTION),
}
"""Name -> how it is drawn and what is written below it."""
