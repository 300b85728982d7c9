"""Forest plot of all estimates."""

from biasprop.report.figures.forest import CAPTION as CAPTION
from biasprop.report.figures.forest import draw as draw
