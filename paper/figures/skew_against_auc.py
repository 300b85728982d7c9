"""Protocols compared where they are equally good."""

from biasprop.report.figures.skew_against_auc import draw as draw

CAPTION = (
    "Swap contrast on z against overall AUC (both subgroups under both oppositely skewed mixes, averaged on z), a"
    " curve for every way of fine-tuning; the label budget moves along it, from the hollow point on."
    " A protocol forgets more than another only if it lies lower where it is as far right. Bars: 95 % t intervals"
    " over replicates. Grey band: equivalence margin."
)
