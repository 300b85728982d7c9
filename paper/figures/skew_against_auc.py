"""Swap contrast against overall AUC."""

from biasprop.report.figures.skew_against_auc import CAPTION as CAPTION
from biasprop.report.figures.skew_against_auc import draw as draw
