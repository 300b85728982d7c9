"""Learning curves of each subgroup."""

from biasprop.report.figures.learning_curves import CAPTION as CAPTION
from biasprop.report.figures.learning_curves import draw as draw
