"""Phase diagram of pretraining mixes and label budgets."""

from biasprop.report.figures.phase_diagram import draw as draw

CAPTION = (
    "Phase diagram: excess gap of every pretraining mix over the reference mix, on z, at every label budget "
    "(columns), one panel per fine-tuning condition. Colour: verdict, Holm's procedure over all fields of the figure; "
    "persists means that the gap follows the skew of the mix, erased that it is inside the equivalence margin."
)
