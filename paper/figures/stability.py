"""Effects over sampled settings."""

from biasprop.report.figures.stability import draw as draw

CAPTION = (
    "Stability over settings drawn from a Latin hypercube, one replicate of each. Left: the observed effect of every "
    "setting, sorted, with the standard deviation that replicates of one setting have; band: mean and standard "
    "deviation of the true effects. Right: standardised coefficients of the regression of ranks of effects on ranks of "
    "levers, or with few settings the rank correlation with each alone; a lever with names has one for each level but "
    "one. Lines: 95 % intervals."
)
