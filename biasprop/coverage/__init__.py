"""Do the intervals cover, and do the verdicts keep their level? `python -m biasprop.coverage` shows it.

``simulated`` draws studies from a known truth with the variances, correlations and skewness of stored ones,
``intervals`` counts how often the package's own intervals hold that truth, ``verdicts`` how often its verdicts are
wrong. Nothing is imported here.
"""

ERRORS = 4.0
"""Monte Carlo standard errors that a share may lie from what it should be. Of the some 180 shares on offer in a table
one lies further by chance in 1 table of 100."""
