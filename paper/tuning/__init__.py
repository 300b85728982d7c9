"""The search for the training recipe, blind to gaps, and its generated table. Run ``python -m paper.tuning``.

A round of the search is a study file ``paper/tuning/NAME.toml``; ``tests/tuning/round.toml`` is a small one.

- The factor ``setting`` has what is tried: levels with a ``name`` and a ``set`` of keys of ``encoder``, ``pretraining``
  or ``finetuning``. The first is the reference, with which the others are compared.
- ``labels`` and ``protocol`` are the only other factors.
- The seed is one of :data:`~paper.tuning.rounds.SEEDS`, which no study has, and shares are the same in all settings.
- The file states every value of its base recipe, because the outcome changes the package's defaults.
- ``question`` says what decides, before the round runs; the table shows its words. The estimand that every study file
  needs is never computed.

The round with the seed of a confirmation is run once, after the recipe is frozen: its settings are ``pretrained``,
which comes first, ``scratch``, and others if there are any. Its section of the page also says, by subgroup, how good
the encoder is, what pretraining is worth and how many labels it saves.

``rounds`` reads and checks these files, ``readings`` reads what a search may see of a cube, ``confirmation`` what only
a confirmation may, ``result`` makes the JSON, ``page`` and ``confirmation_page`` the tables from it.
"""
