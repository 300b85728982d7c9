"""Checks of a study's tables, one file for each kind; :mod:`biasprop.study.validate` calls them in this order.

:mod:`.fields` checks every key by itself, :mod:`.factors` names, levels and keys of factors, :mod:`.estimands` what
estimands refer to, :mod:`.sample` the levers of a sample, :mod:`.conditions` whether the components of one condition
fit each other, :mod:`.levels` the conditions that levels make of the base condition, which are those that occur, and
:mod:`.people` whether a table has enough people for them.
"""
