"""How hard the task is in each subgroup: ideal observers, a trained network, and the difficulty ledger of both.

:mod:`.ideal` computes what an ideal observer reaches, exactly or between bounds; :mod:`.learner` what a network
trained from scratch on many images reaches; :mod:`.ledger` collects both for every generator and encoder of a study;
:mod:`.calibration_cache` caches the constants of ``difficulty = "calibrated"``. The difficulty modes themselves are in
:mod:`biasprop.difficulty`.

A generator takes part through capability protocols of :mod:`biasprop.interfaces`: ``HasIdealObserver`` gives an exact
row, ``HasInformedObserver`` an upper bound and ``HasLinearObserver`` a model row; lower bounds and separability need
images alone.
"""
