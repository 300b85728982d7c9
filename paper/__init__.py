"""Figures, numbers, result pages and methods for a manuscript. Run ``python -m paper.make``.

``stores`` finds the stores of studies, ``numbers`` collects citable numbers, ``study_result`` makes the JSON of a
study, ``pages`` writes its page and the gallery of studies from that JSON, ``predictions`` scores what was predicted,
``before_after`` sets earlier answers beside the present ones and ``published`` the findings of others,
``pretraining_worth`` collects what pretraining was worth in all studies, ``figures`` has the captions.
``python -m paper.tuning`` is the search for the training recipe, and its table.
"""
