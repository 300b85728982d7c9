"""Checks of the statistics on simulated studies: coverage of intervals, zones by true effect.

``python -m biasprop.coverage`` prints them. ``simulated`` draws studies from a known truth with the variances,
correlations and skewness of stored ones, ``intervals`` counts how often the package's intervals contain that truth,
``learning_curves`` has the cases of labels that are read off a curve, ``verdicts`` counts how often each zone is given,
and how often a wrong one, ``stability`` how often the share of sampled settings with one sign is in its interval,
``cards`` how often an adoption card flags and clears models whose gap is known. To check another interval, add a
``Candidate`` and its cases in ``intervals``; to check another verdict, add a rate in ``verdicts.rates``. Nothing is
imported here.
"""

TOLERANCE = 0.01
"""By how much a coverage may differ from its level: Student's t assumes normal results, and those simulated are skewed,
which costs up to a point at five or six replicates."""
ERRORS = 4.0
"""Monte Carlo standard errors by which a share may differ from what is allowed. By chance, one of the about 180 shares
on offer in a table differs by more in 1 table of 100."""
