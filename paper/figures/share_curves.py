"""AUC of each subgroup against the pretraining share."""

from biasprop.report.figures.share_curves import CAPTION as CAPTION
from biasprop.report.figures.share_curves import draw as draw
