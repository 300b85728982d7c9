"""Measures of a test population against its mix."""

from biasprop.report.figures.test_mix import draw as draw

CAPTION = (
    "What an audit that does not stratify would report: AUC, and sensitivity and specificity at one threshold, of all "
    "test subjects together (black) against the share of one subgroup among them, beside those of each subgroup "
    "(coloured), which do not depend on it. Bands: 95 % t intervals over replicates."
)
