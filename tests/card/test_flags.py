"""A planted gap is flagged, large equal groups are cleared, and no group is cleared on numbers that show nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biasprop.card import flags
from biasprop.statistics.audit import audit_scores
from biasprop.statistics.verdict import CANNOT_TELL, CLEAR, FLAG, decision


def audited(sizes: dict[str, int], gaps: dict[str, float], margin: float, **options):
    random = np.random.default_rng(3)
    group = np.repeat(list(sizes), list(sizes.values()))
    y = np.concatenate([np.arange(n) % 2 for n in sizes.values()])
    z = np.array([1.5 - gaps.get(name, 0.0) for name in group])
    scores = random.standard_normal(len(y)) + z * y
    groups = pd.DataFrame({"sex": pd.Categorical(group, options.pop("categories", list(sizes)))})
    return audit_scores(scores, y, groups, score_is="ranking", metrics=["auc", "z"], margin={"z": margin}, **options)


def test_a_planted_gap_is_flagged() -> None:
    audit = audited({"F": 400, "M": 400}, {"F": 1.0}, 0.1)
    (flag,) = flags.flags(audit)
    assert flag.decision == FLAG and flag.metric == "z" and flag.value < -0.5
    assert (flag.n, flag.n_positive) == ((400, 400), (200, 200))
    assert flags.overall([flag], []) == FLAG


def test_large_equal_groups_are_cleared_by_a_margin_that_they_resolve() -> None:
    audit = audited({"F": 20_000, "M": 20_000}, {}, 0.3)
    said = flags.flags(audit)
    assert flags.overall(said, flags.untested(audit, said, {"sex": set()})) == CLEAR
    assert flags.untested(audit, said, {"sex": set()}) == []


@pytest.mark.parametrize("n", [2, 4, 10, 40, 100])
def test_small_groups_are_never_cleared(n: int) -> None:
    audit = audited({"F": n, "M": 20_000}, {}, 0.3)
    said = flags.flags(audit)
    (small,) = flags.untested(audit, said, {"sex": set()})
    assert all(flag.decision == CANNOT_TELL for flag in said)
    assert (small.group, small.n) == ("F", n) and small.why
    assert flags.overall(said, [small]) == CANNOT_TELL


def test_an_interval_within_the_margin_does_not_clear_a_test_that_would_have_shown_nothing() -> None:
    assert decision(-0.09, 0.09, 0.1, 0.13) == CANNOT_TELL
    assert decision(-0.06, 0.06, 0.1, 0.09) == CLEAR
    assert decision(0.11, 0.2, 0.1, 0.06) == decision(-0.2, -0.11, 0.1, 5.0) == FLAG
    assert decision(float("nan"), float("nan"), 0.1, float("nan")) == CANNOT_TELL
    assert decision(-0.06, 0.06, 0.1, float("nan")) == CANNOT_TELL


def test_groups_without_people_or_a_class_are_untested_and_keep_a_model_from_being_cleared() -> None:
    audit = audited({"F": 20_000, "M": 20_000, "one": 1}, {}, 0.3, categories=["F", "M", "X", "one"])
    said = flags.flags(audit)
    missing = {group.group: group for group in flags.untested(audit, said, {"sex": {"F", "unknown"}})}
    assert set(missing) == {"X", "one", "unknown"}
    assert "has no rows in the table" in missing["X"].why and "stated" in missing["unknown"].why
    assert "undefined" in missing["one"].why
    assert {flag.decision for flag in said} == {CLEAR, CANNOT_TELL}
    assert flags.overall(said, list(missing.values())) == CANNOT_TELL


@pytest.mark.parametrize(
    ("lost", "listed", "why"),
    [
        ({"group": 0.6}, flags.NO_GROUP, "60 % of all rows have no sex"),
        ({"group": 0.04}, "", ""),
        ({"scores": 0.7}, "F", "70 % of its rows have no score or no label"),
        ({"labels": 0.3}, "F", "30 % of its rows have no score or no label"),
        ({"scores": 0.04}, "", ""),
        ({"scores": 1.0}, "F", "none of its rows has both a score and a label"),
    ],
)
def test_many_rows_without_group_score_or_label_keep_a_model_from_being_cleared(
    lost: dict[str, float], listed: str, why: str
) -> None:
    """The rest is enough to clear every gap: 40,000 women and men of whom a part is lost."""
    random = np.random.default_rng(3)
    n = 40_000
    group = np.repeat(["F", "M"], n)
    y = np.arange(2 * n) % 2
    scores = random.standard_normal(2 * n) + 1.5 * y
    (what, share), *_ = lost.items()
    some = np.arange(2 * n) // 2 % 100 < 100 * share  # of both classes
    rows = some if what == "group" else some & (group == "F")
    categories = pd.Categorical(pd.Series(group).mask(rows & (what == "group")), ["F", "M"])
    scores = np.where(rows & (what == "scores"), np.nan, scores)
    labels = np.where(rows & (what == "labels"), np.nan, y)
    audit = audit_scores(
        scores, labels, pd.DataFrame({"sex": categories}), score_is="ranking", metrics=["z"], margin={"z": 0.3}
    )
    said = flags.flags(audit)
    found = flags.untested(audit, said, {"sex": set()})
    assert [one.group for one in found] == ([listed] if listed else [])
    assert all(why in one.why for one in found)
    assert flags.overall(said, found) == (CANNOT_TELL if listed else CLEAR)
    if listed == flags.NO_GROUP:
        assert (found[0].n, found[0].n_positive) == (rows.sum(), y[rows].sum())


def test_a_group_that_no_stated_gap_compares_is_untested() -> None:
    audit = audited({"F": 20_000, "M": 20_000, "X": 20_000}, {}, 0.3, pairs={"sex": [("F", "M")]})
    said = flags.flags(audit)
    assert [(one.group, one.why) for one in flags.untested(audit, said, {"sex": set()})] == [
        ("X", "is in no gap that was measured")
    ]


def test_without_a_margin_nothing_is_said() -> None:
    random = np.random.default_rng(0)
    y = np.arange(100) % 2
    audit = audit_scores(random.standard_normal(100) + y, y, np.arange(100) // 50, score_is="ranking")
    assert flags.flags(audit) == [] and flags.overall([], []) == CANNOT_TELL
