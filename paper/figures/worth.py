"""What pretraining hands on against what it is worth."""

from biasprop.report.figures.worth import CAPTION as CAPTION
from biasprop.report.figures.worth import draw as draw
