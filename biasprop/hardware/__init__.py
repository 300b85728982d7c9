"""The hardware that a run is computed on.

:mod:`.environment` has settings that a process needs before JAX starts in it, :mod:`.device` the fingerprint that bits
depend on and the cache of compiled programs, :mod:`.memory` an estimate of the memory a cell needs.
"""
