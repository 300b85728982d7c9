"""Forest plot of all estimates."""

from biasprop.report.figures.forest import draw as draw

CAPTION = (
    "Every estimand stated before the study ran. Thick: 95 % interval. Thin: the interval that decides, which is the "
    "95 % interval of the primary estimate (bold, diamond) and holds for all secondary ones together (Bonferroni); "
    "exploratory estimates have none. Colour and words: zone. Pale band: margin of the estimate. Triangles: the "
    "interval continues outside the panel."
)
