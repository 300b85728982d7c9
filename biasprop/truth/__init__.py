"""What a study of Gaussian images, a linear encoder and a linear head must find, worked out apart from the pipeline.

Three layers, each given what the one before takes as random: :mod:`.law` (encoder and head are given: AUC is exact),
:mod:`.subspace` (the cohort is given: the encoder keeps its principal subspace), :mod:`.expectation` (only sizes are
given: the mean over cohorts and label sets, and its limit). :mod:`.recovered` reads encoders and heads out of a store.
The derivation is in ``paper/methods.md``, section 6.
"""
