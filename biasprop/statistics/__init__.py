"""From stored scores to verdicts: measures, contrasts, intervals and tests. No JAX.

``estimand`` defines what a study asks, ``measures`` reduces scores to one value per replicate and draw, ``contrasts``
takes paired differences, ``paired`` applies them to each arm, ``intervals``, ``tests`` and ``verdict`` quantify
uncertainty, and ``estimate`` puts it together. ``levels`` and ``decomposition`` give what estimates are read beside,
``difficulty`` and ``areas`` the difficulty ledger, ``precision`` the replicates a study needs; ``summary`` has the
records that hold all of it.

To add a kind of estimand: its name and fields in ``estimand.KINDS`` and ``estimand.Estimand.kind``, its paired values
in ``paired.VALUES``, and, if it has no test, how it is stated in ``estimate.UNTESTED``. Its interval must be one of
``intervals``, which ``python -m biasprop.coverage`` checks.

``audit`` compares groups of independent people in a user's own table: ``people`` reads the table, ``group_measures``
computes the same metrics with variances from ``contributions`` or ``bootstrap``, ``group_intervals`` turns them into
intervals, and ``audit_result`` holds the tables.

Nothing is imported here, so that reading a study file stays fast.
"""
