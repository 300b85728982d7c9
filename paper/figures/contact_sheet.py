"""Contact sheet of simulated test subjects."""

from biasprop.report.figures.contact_sheet import CAPTION as CAPTION
from biasprop.report.figures.contact_sheet import draw as draw
