"""A contrast against a factor with numbers."""

from biasprop.report.figures.contrast_by_level import draw as draw

CAPTION = (
    "The contrast against a factor with numbers, such as the distance of two skin tones, one curve for each label "
    "budget and protocol. Hollow: levels that differ in more than the number. Pale points: replicates. Bars: 95 % t "
    "intervals over replicates. Grey band: margin."
)
