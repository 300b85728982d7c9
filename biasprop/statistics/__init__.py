"""From stored scores to verdicts: measures, contrasts, intervals and zones. No JAX.

``estimand`` has the fields of every estimand and what a kind of them defines (the kinds are in
``biasprop.estimands``), ``measures`` reduces scores to one value per replicate and draw, ``contrasts`` takes paired
differences, ``paired`` gives an estimand's values at each arm, ``intervals``, ``tests`` and ``verdict`` quantify
uncertainty, and ``estimate`` puts it together. ``levels`` and ``decomposition`` give what estimates are read beside,
``difficulty`` and ``areas`` the difficulty ledger, ``precision`` the replicates a study needs; ``summary`` has the
records that hold all of it.

Intervals are those of ``intervals``, which ``python -m biasprop.coverage`` checks.

``audit`` compares groups of independent people in a user's own table: ``people`` reads the table, ``group_measures``
computes the same metrics with variances from ``contributions`` or ``bootstrap``, ``group_intervals`` turns them into
intervals, ``extreme_groups`` judges the worst and the smallest group, and ``audit_result`` holds the tables.
``case_mix`` says who was in a test.

Nothing is imported here, so that reading a study file stays fast.
"""
