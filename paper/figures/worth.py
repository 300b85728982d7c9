"""What pretraining hands on against what it is worth."""

from biasprop.report.figures.worth import draw as draw

CAPTION = (
    "What pretraining hands on against what it is worth. Worth: z after balanced pretraining minus z from scratch, "
    "each with the protocol of higher validation AUC, in even replicates. Handed on: the own-representation effect of "
    "each subgroup, and the excess gap, in odd replicates, so that the two have no noise in common. A point is a "
    "regime and a label budget; crosses are standard errors. r: correlation over conditions of the "
    "true values, from all pairs of different replicates, with a jackknife interval. Grey bands: margins."
)
