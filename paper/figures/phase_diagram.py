"""Phase diagram of pretraining mixes and label budgets."""

from biasprop.report.figures.phase_diagram import CAPTION as CAPTION
from biasprop.report.figures.phase_diagram import draw as draw
