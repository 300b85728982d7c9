"""Who is simulated."""

from biasprop.report.figures.contact_sheet import draw as draw

CAPTION = (
    "Simulated test subjects. Images beside each other are twins: one subject rendered once in every subgroup with all "
    "other latents held. Dashed: outline of the lesion, which the models never see."
)
