"""What labels give each subgroup."""

from biasprop.report.figures.learning_curves import draw as draw

CAPTION = (
    "Learning curves: AUC of each subgroup against the label budget, a curve for every pretraining. Pale points: "
    "replicates. Bars: 95 % t intervals over replicates, taken on z."
)
