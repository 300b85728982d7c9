"""The hardware that a run is computed on.

:mod:`.environment` has settings that a process needs before JAX starts in it, :mod:`.device` the fingerprint that bits
depend on and the settings that hold while numbers are computed, :mod:`.settings` the table of both, :mod:`.threefry`
how random bits are batched meanwhile, :mod:`.memory` an estimate of the memory a cell needs.
"""
