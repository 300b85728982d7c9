"""How fast a study runs on this machine, compared with its matrix products timed on their own.

``python -m biasprop.bench STUDY`` is the command; :mod:`biasprop.bench.operations` counts the matrix products of the
functions that a run calls, :mod:`biasprop.bench.ceilings` times them on their own, :mod:`biasprop.bench.stages` defines
the stages that are timed.
"""
