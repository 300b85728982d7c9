"""What a run is computed on.

:mod:`.environment` has what a process must be told before JAX starts in it, :mod:`.device` what bits depend on and
where compiled programs are kept, :mod:`.memory` how much memory a cell needs.
"""
