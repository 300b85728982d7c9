"""Normalisations, one file each: how the values of an image are scaled before an encoder sees them.

A normalisation is a frozen :class:`biasprop.component.Component` that satisfies
:class:`biasprop.interfaces.Normalisation`: ``apply`` maps images to the input of the network. With ``of_cohort`` it
uses constants that belong to the encoder: the mean and standard deviation of each channel over the pretraining cohort.
They are measured before pretraining, kept with the encoder's parameters and never trained. Views are made before: a
normalisation is the last step before the network, in pretraining, fine-tuning and evaluation alike.

To add one: write one file, add one line to :data:`NORMALISATIONS`, and regenerate the schema of study files with
``python -m biasprop.study.schema``. The contract tests in ``tests/normalisations`` read the table and test the new
member.
"""

from biasprop.component import Component
from biasprop.normalisations.cohort import OfCohort
from biasprop.normalisations.colour_constancy import ColourConstancy
from biasprop.normalisations.fixed import Fixed
from biasprop.normalisations.image import OfImage

NORMALISATIONS: dict[str, type[Component]] = {
    "fixed": Fixed,
    "cohort": OfCohort,
    "image": OfImage,
    "colour_constancy": ColourConstancy,
}
