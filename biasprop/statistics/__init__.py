"""From stored scores to claims: measures, contrasts, intervals, tests and verdicts. NumPy, SciPy and xarray only.

``estimand`` says what a study asks, ``measures`` reduces scores to one value per replicate and draw, ``contrasts``
takes the paired differences, ``intervals`` and ``tests`` say how sure they are, and ``estimate`` puts it together.
Nothing is imported here, so that reading a study file stays fast.
"""
