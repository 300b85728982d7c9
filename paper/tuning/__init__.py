"""The search for the training recipe, blind to gaps, and its generated table. Run ``python -m paper.tuning``.

A round of the search is a study file ``paper/tuning/NAME.toml``; ``tests/tuning/round.toml`` is a small one.

- The factor ``setting`` has what is tried: levels with a ``name`` and a ``set`` of keys of ``encoder``, ``pretraining``
  or ``finetuning``. The first is the reference, with which the others are compared.
- ``labels`` and ``protocol`` are the only other factors.
- The seed is one of :data:`~paper.tuning.rounds.SEEDS`, which no study has, and shares are the same in all settings.
- The file states every value of its base recipe, because the outcome changes the package's defaults.
- ``question`` says what decides, before the round runs; the table shows its words. The estimand that every study file
  needs is never computed.

``rounds`` reads and checks these files, ``readings`` is the only module that reads a cube, ``result`` makes the JSON,
``page`` the table from it.
"""
