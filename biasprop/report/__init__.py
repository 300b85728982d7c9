"""Reports of a study: the answer, tables, a table for pandas, JSON, figures and a page, all from one ``Summary``.

:mod:`.results` makes them from a store and caches them there. Every view of a store starts from
``results.open_study_cube``, or from ``biasprop.open_cube``, which gives the same after a run. A report is a function of
a :class:`biasprop.statistics.summary.Summary` and computes no statistic of its own: :mod:`.tables` and
:mod:`.difficulty` lay out tables, :mod:`.answer` writes the answer with the sentences of :mod:`.wording`,
:mod:`.tidy_table` is ``biasprop.dataframe`` and :mod:`.estimates` ``biasprop.estimates``. :mod:`.study_page` and
:mod:`.audit_page` put them on a page of :mod:`biasprop.html`, :mod:`.interval_bars` draws the bars of estimates there.
:mod:`.figures` has one file per figure and says how to add one; :mod:`.plotting` has what figures share. To add a
table, write a function that returns a ``rich`` table and list it in ``tables.tables``. Names of a study are printed by
the consoles of :mod:`biasprop.terminal` and by :mod:`biasprop.html` only.
"""
