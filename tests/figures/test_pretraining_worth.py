"""The page that collects what pretraining was worth."""

from __future__ import annotations

from typing import Any

from paper import pages, pretraining_worth

STUDIES = pages.STUDIES


def estimate(kind: str, name: str, arm: dict[str, Any], value: float | None, reason: str = "") -> dict[str, Any]:
    bounds = {"low": None, "high": None} if value is None else {"low": value - 0.1, "high": value + 0.1}
    own = {"name": name, "kind": kind, "arm": arm, "subgroups": ["dark"], "scale": "z", "replicates": 4}
    return own | bounds | {"value": value, "reason": reason, "role": "exploratory", "verdict": ""}


def collected(study: str, *estimates: dict[str, Any]) -> dict[str, Any]:
    return pretraining_worth.collected({study: {"scale": None, "estimates": list(estimates)}}, STUDIES)


def test_each_worth_stands_once_with_modality_budget_and_protocols() -> None:
    arm = {"regime": "clean", "pretraining": "dark 0.5", "labels": 200}
    chosen = "chosen on validation: full; for scratch: full"
    one = estimate("worth", "worth of pretraining", arm, 0.2, chosen)
    again = estimate("worth", "worth of pretraining, dark skin, clean, 200 labels", arm, 0.2, chosen)
    gap = estimate("swap_contrast", "swap contrast", arm, 0.3)
    missing = estimate("worth", "worth of pretraining", arm | {"labels": 50}, None, "no replicate")
    value = collected("worth", again, one, gap, missing)
    (row,) = value["worths"]
    assert (row["modality"], row["labels"], row["arm"]) == ("dermoscopy", 200, "clean, dark 0.5")
    shown = pretraining_worth.page(value, "<!-- -->")
    assert "| dermoscopy | 200 | 1 | +0.200 | +0.200 | +0.200 | 1 | 0 |" in shown
    assert "+0.200 [+0.100, +0.300] | 4 | scratch | full; for scratch: full |" in shown


def test_without_a_factor_of_budgets_the_budget_is_that_of_the_study() -> None:
    arm = {"pretraining": "community 0.5"}
    one = estimate("worth", "worth of pretraining at the unseen community site", arm, -0.2)
    (row,) = collected("institutions", one)["worths"]
    assert (row["modality"], row["labels"], row["chosen"]) == ("chest_ct", 400, "")


def test_a_difference_of_two_worths_is_left_out() -> None:
    name = "flair, pretrained on t1w minus mixed, standardised minus raw, full fine-tuning"
    assert collected("mri_sequences", estimate("worth", name, {"target": "flair"}, 0.1))["worths"] == []
