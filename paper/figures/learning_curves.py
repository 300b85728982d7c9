"""Learning curves of each subgroup."""

from biasprop.report.figures.learning_curves import draw as draw

CAPTION = (
    "Learning curves: AUC of each subgroup against the label budget, one curve per pretraining condition. Pale points: "
    "replicates. Bars: 95 % t intervals over replicates, computed on z."
)
