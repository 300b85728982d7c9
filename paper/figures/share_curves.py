"""AUC of each subgroup against the pretraining share."""

from biasprop.report.figures.share_curves import draw as draw

CAPTION = (
    "AUC of each subgroup after balanced fine-tuning against the share in pretraining, per label budget (columns) and "
    "protocol (rows). Pale points: replicates. Lines: mean over replicates with 95 % t intervals, computed on "
    "z = sqrt(2) times the inverse normal CDF of AUC and shown as AUC. Dashed lines and "
    "bands: the same without pretraining."
)
