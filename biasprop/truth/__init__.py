"""Closed-form answers for Gaussian images, a linear encoder and a linear head, computed apart from the pipeline.

Each layer averages over one more source of randomness: :mod:`.law` takes encoder and head as given (AUC is exact),
:mod:`.subspace` the cohort (the encoder converges to its principal subspace), and :mod:`.expectation` only sizes (the
mean over cohorts and label sets, and its limit). :mod:`.recovered` recovers encoders and heads from a store, to compare
them. The only contract is ``generator.law``: the signal and the pixel covariance of a subgroup;
:func:`.expectation.incompatibility` says which studies have a known answer. The derivation is in ``paper/methods.md``,
section 6.
"""
