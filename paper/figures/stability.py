"""Effects over sampled settings."""

from biasprop.report.figures.stability import CAPTION as CAPTION
from biasprop.report.figures.stability import draw as draw
