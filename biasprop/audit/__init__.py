"""`python -m biasprop.audit TABLE`: an audit of any model's predictions by group, from a table. No simulation, no JAX.

``arguments`` has the options, ``columns`` turns files and options into what ``biasprop.audit_scores`` takes,
``audited`` runs it and adds what only a table can tell (threshold, case-mix, gaps that were stated), ``aggregate``
reads tables of results that others have computed. Tables are read by :mod:`biasprop.tables` and printed by
:mod:`biasprop.report.audit_tables`.
"""
