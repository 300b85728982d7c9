"""What a study says: tables, a paragraph, a table for pandas, JSON and figures, all from one summary.

:mod:`.results` makes all of it from a store and keeps it there, :mod:`.tables` and :mod:`.difficulty` lay out tables,
:mod:`.text_summary` writes the answer in words, :mod:`.tidy_table` is ``biasprop.dataframe``, :mod:`.figures` has one
file a figure, and :mod:`.plotting` what figures share.
"""
