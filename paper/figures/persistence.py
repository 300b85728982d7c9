"""Persistence of the pretraining skew."""

from biasprop.report.figures.persistence import draw as draw

CAPTION = (
    "Persistence of the pretraining skew: swap contrast (half the difference of the subgroup gap between the two "
    "oppositely skewed mixes, on z) against the label budget, per protocol, and below it the gap without pretraining. "
    "Positive favours the subgroup that pretraining was skewed to. Pale points: replicates. Bars: 95 % t intervals "
    "over replicates. Grey band: margin."
)
