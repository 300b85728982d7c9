"""Phase diagram of pretraining mixes and label budgets."""

from biasprop.report.figures.phase_diagram import draw as draw

CAPTION = (
    "Phase diagram: excess gap of every pretraining mix over the reference mix, on z, at every label budget "
    "(columns), one panel per fine-tuning condition. Colour: zone of the field's interval, and the intervals of all "
    "fields of the figure hold together at 95 % (Bonferroni): material is wholly beyond the margin, negligible wholly "
    "inside it; present, size unclear leaves out 0."
)
