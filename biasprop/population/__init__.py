"""Who is in a data set: shares, prevalences and shifts in, subjects out.

:mod:`.sampling` draws cohorts and lists in exact counts, :mod:`.shifts` says what may differ between subgroups, and
:mod:`.rosters` lists everyone whom an arm trains, validates, calibrates and tests on.
"""
