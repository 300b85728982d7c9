"""Forest plot of all estimates."""

from biasprop.report.figures.forest import draw as draw

CAPTION = (
    "Every estimand stated before the study ran. Thick: 95 % interval. Thin: interval adjusted by Holm's procedure "
    "over all but the primary estimand (bold, diamond). Grey band: equivalence margin. Triangles: the interval "
    "continues outside the panel."
)
