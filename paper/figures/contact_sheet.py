"""Contact sheet of simulated test subjects."""

from biasprop.report.figures.contact_sheet import draw as draw

CAPTION = (
    "Simulated test subjects. Adjacent images are twins: one subject rendered once in every subgroup with all "
    "other latents held. Dashed: outline of the lesion, which models do not see."
)
