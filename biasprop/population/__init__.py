"""Subjects of every set, from attributes, shares, prevalences and shifts.

:mod:`.attributes` defines subgroups by their attributes, and groups; :mod:`.random_attributes` attributes whose levels
differ between replicates. :mod:`.coupling` decides which subgroup a subject has. :mod:`.sampling` draws pretraining
cohorts of any size by index and lists labelled, validation, calibration and test subjects in exact counts;
:mod:`.shifts` defines what may differ between subgroups beside their shares; :mod:`.rosters` lists the subjects of all
sets of an arm. What a population decides about a subject is a
:class:`biasprop.interfaces.Subjects`; everything else about it is the generator's. A new kind of shift is a field of
:class:`.shifts.Shift` that :mod:`.sampling` applies.
"""
