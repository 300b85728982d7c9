"""How hard the task is in each subgroup: ideal observers, a trained network, and the table of both.

:mod:`.observers` has what an ideal observer reaches, exactly or between bounds, :mod:`.learner` what a network trained
from scratch on plenty of images reaches, :mod:`.ledger` puts both into the difficulty ledger of a study, and
:mod:`.calibration_cache` keeps the constants of ``difficulty = "calibrated"`` from run to run.
"""
