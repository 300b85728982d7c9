"""Measures of a test population against its mix."""

from biasprop.report.figures.test_mix import CAPTION as CAPTION
from biasprop.report.figures.test_mix import draw as draw
