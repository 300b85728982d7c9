"""How fast a study runs on this machine, held against what its own matrix products reach alone.

``python -m biasprop.bench STUDY`` is the command; :mod:`biasprop.bench.operations` counts the products of the very
functions that run, :mod:`biasprop.bench.ceilings` times them alone, :mod:`biasprop.bench.stages` is what is timed.
"""
