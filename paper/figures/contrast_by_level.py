"""A contrast against a factor with numbers."""

from biasprop.report.figures.contrast_by_level import CAPTION as CAPTION
from biasprop.report.figures.contrast_by_level import draw as draw
