"""What an audit does not accept: one clear message that names the argument."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biasprop
from biasprop.component import InputError

SCORES, TARGET, GROUPS = [0.1, 0.6, 0.4, 0.9], [0, 1, 0, 1], ["a", "a", "b", "b"]

WRONG = {
    "target: 3 entries, but scores has 4": {"target": [0, 1, 0]},
    "groups (group): 5 entries, but scores has 4": {"groups": list("abcde")},
    "weight: 2 entries, but scores has 4": {"weight": [1, 2]},
    "target: must be 0 or 1, or NaN where it is missing, but entry 2 is 2.0": {"target": [0, 1, 2, 1]},
    "target: must be numbers": {"target": ["no", "yes", "no", "yes"]},
    "scores: must be a probability in [0, 1], but entry 1 is 1.5 (and 1 more)": {"scores": [0.1, 1.5, 0.4, -1]},
    "scores: must have one dimension, not the shape (4, 1)": {"scores": np.ones((4, 1))},
    "weight: must be finite and not negative, but entry 3 is -1.0": {"weight": [1, 1, 1, -1]},
    "weight: must be finite and not negative, but entry 0 is nan": {"weight": [np.nan, 1, 1, 1]},
    "cluster: must be known for every entry, but entry 1 is nan": {"cluster": ["p", None, "q", "q"]},
    "metrics: 'acu' is unknown; allowed: auc": {"metrics": ["acu"]},
    "did you mean auc?": {"metrics": ["acu"]},
    "metrics: must be a list of names": {"metrics": "auc"},
    "score_is: 'logits' is unknown; allowed: log-odds, probability, ranking": {"score_is": "logits"},
    "method: 'jackknife' is unknown": {"method": "jackknife"},
    "pairs (group): 'c' is unknown; allowed: a, b": {"pairs": [("a", "c")]},
    "pairs: 'ab' is not a pair of two groups": {"pairs": ["ab"]},
    "pairs: 'sex' is unknown; allowed: group": {"pairs": {"sex": [("a", "b")]}},
    "margin: must be a mapping": {"margin": 0.1},
    "margin (z): must be above 0": {"margin": {"z": 0}},
    "margin: 'zz' is unknown": {"margin": {"zz": 0.1}},
    "confidence: must be in (0, 1), not 95": {"confidence": 95},
    "n_bootstrap: must be an integer of at least 100": {"n_bootstrap": 10},
    "seed: must be an integer of at least 0": {"seed": -1},
    "threshold: must be a finite number": {"threshold": np.inf},
    "give threshold or threshold_from, not both": {"threshold": 0.5, "threshold_from": ([0.1], [0])},
    "threshold_from: target: must be 0 or 1": {"threshold_from": ([0.1], [3])},
    "target_specificity: must be in (0, 1]": {"threshold_from": ([0.1], [0]), "target_specificity": 90},
    "threshold_from: must be scores of at least one healthy person": {"threshold_from": ([0.1], [1])},
    "groups (age): 101 groups, at most 100": {
        "scores": np.full(101, 0.5),
        "target": np.zeros(101),
        "groups": {"age": np.arange(101)},
    },
    "'overall' cannot be the name of an attribute": {"groups": {"overall": GROUPS}},
    "groups: there is no attribute": {"groups": {}},
    "these have different pandas indices": {
        "scores": pd.Series(SCORES),
        "target": pd.Series(TARGET, index=[3, 2, 1, 0]),
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_argument_is_named(message) -> None:
    arguments = {"scores": SCORES, "target": TARGET, "groups": GROUPS, "score_is": "probability"} | WRONG[message]
    with pytest.raises(InputError) as raised:
        biasprop.audit_scores(**arguments)
    assert message in str(raised.value)


def test_missing_values_of_every_kind_are_counted() -> None:
    audit = biasprop.audit_scores(
        pd.Series([0.1, None, 0.4, 0.9, 0.2, 0.7]),
        pd.Series([False, True, None, True, False, True], dtype="boolean"),
        pd.Series(["a", "a", "a", "a", "a", None], name="site"),
        score_is="probability",
        metrics=["auc"],
    )
    assert audit.by_group.loc[("site", "a"), ["n", "n_positive", "n_missing"]].tolist() == [3, 1, 2]
    assert audit.without_group == {"site": 1}
    assert audit.by_group.loc[("site", "a"), "auc"] == 1.0
