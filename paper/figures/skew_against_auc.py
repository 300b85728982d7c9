"""Swap contrast against overall AUC."""

from biasprop.report.figures.skew_against_auc import draw as draw

CAPTION = (
    "Swap contrast on z against overall AUC (both subgroups under both oppositely skewed mixes, averaged on z), a"
    " curve per fine-tuning condition; the label budget increases along it from the hollow point."
    " A protocol retains less of the skew than another only if it lies lower at equal AUC. Bars: 95 % t intervals"
    " over replicates. Grey band: margin."
)
