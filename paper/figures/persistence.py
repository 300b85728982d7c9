"""Persistence of the pretraining skew."""

from biasprop.report.figures.persistence import CAPTION as CAPTION
from biasprop.report.figures.persistence import draw as draw
