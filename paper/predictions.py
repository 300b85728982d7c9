"""The score of the predictions in ``predictions.toml``, each computed as ``prediction_map.toml`` says.

A study's part is computed from its store and kept in ``paper/results/<study>.json``; the score and its page come from
these files alone.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.component import InputError
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, zone
from paper.entries import tables
from paper.markdown import escaped, filled, table

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.estimand import Estimand
    from biasprop.statistics.intervals import Interval
    from biasprop.statistics.paired import Paired

HERE = Path(__file__).parent
FILE, MAP = HERE / "predictions.toml", HERE / "prediction_map.toml"

FORMAT = 1
"""Raised when the keys of the JSON change."""

SIGNS = {"positive": 1, "negligible": 0, "negative": -1}
"""What can be expected -> its rank."""

HIT, MISS, OPEN, NOT_RUN = "hit", "miss", "open", "not run yet"

MIN_RANKED = 5
"""Fewest scored predictions for a rank correlation."""


@dataclass(frozen=True)
class Prediction:
    """One prediction, and how it is computed."""

    number: int
    """Its place in the file, from 1."""
    study: str
    quantity: str
    expected: str
    """A key of :data:`SIGNS`."""
    reason: str
    margin: float
    """An effect inside it is negligible; on the scale of the quantity."""
    estimand: Estimand
    against: Estimand | None
    """With it the quantity is the correlation of both over their arms."""


def read(file: Path = FILE, mapped: Path = MAP) -> list[Prediction]:
    """Return all predictions, in their order.

    Args:
        file: of the predictions.
        mapped: says how each is computed.

    Raises:
        InputError: a file cannot be read, an entry is wrong, or the two do not have the same predictions.
    """
    stated, quantities = tables(file, "prediction"), tables(mapped, "quantity")
    by_number = {entry.get("prediction"): entry for entry in quantities}
    if len(quantities) != len(by_number) or set(by_number) != set(range(1, len(stated) + 1)):
        raise InputError(f"{mapped}: quantity: needs one table for each of the predictions 1 to {len(stated)}")
    return [_prediction(number, one, by_number[number], file, mapped) for number, one in enumerate(stated, 1)]


def _prediction(number: int, stated: Mapping[str, Any], how: Mapping[str, Any], file: Path, mapped: Path) -> Prediction:
    from pydantic import ValidationError

    from biasprop.estimands import ESTIMANDS

    if stated.get("expected") not in SIGNS:
        allowed = ", ".join(SIGNS)
        raise InputError(f"{file}: prediction {number}: expected: is {stated.get('expected')!r}; allowed: {allowed}")
    if stated.get("study") != how.get("study"):
        raise InputError(f"{mapped}: quantity of prediction {number}: study: is not {stated.get('study')!r} as there")
    try:
        tables = [{"name": str(stated["quantity"]), **how[key]} for key in ("estimand", "against") if key in how]
        # As JSON, whose arrays are tuples.
        found = [ESTIMANDS[entry["kind"]].model_validate_json(json.dumps(entry)) for entry in tables]
        margin = float(how["margin"])
        return Prediction(
            number, stated["study"], stated["quantity"], stated["expected"], stated["reason"], margin, found[0],
            found[1] if len(found) > 1 else None,
        )  # fmt: skip
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{mapped}: quantity of prediction {number}: {error}") from error


def measured(study: str, measures: xr.Dataset, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return the value of every prediction of a study, as its result keeps it.

    Args:
        study: its name.
        measures: from ``statistics.measures.measure``.
        predictions: of all studies.

    Returns:
        {prediction, value, low, high, replicates, reason}; NaN with a reason where the study lacks what is needed.
    """
    return [_measured(one, measures) for one in predictions if one.study == study]


def _measured(prediction: Prediction, measures: xr.Dataset) -> dict[str, Any]:
    from biasprop.statistics.intervals import t_interval
    from biasprop.statistics.paired import paired

    first = paired(measures, prediction.estimand)
    reasons = dict.fromkeys(contrast.reason for contrast in first)
    if prediction.against is not None:
        second = paired(measures, prediction.against)
        reasons |= dict.fromkeys(contrast.reason for contrast in second)
        interval = _over_arms(first, second)
    elif len(first) == 1 and first[0].denominator is None:
        interval = t_interval(first[0].values)
    else:
        raise InputError(f"{MAP}: quantity of prediction {prediction.number}: is not one mean of paired values")
    return {
        "prediction": prediction.number,
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "replicates": int(measures.sizes["replicate"]),
        "reason": "; ".join(part for part in [*reasons, interval.reason] if part),
    }


def _over_arms(first: Sequence[Paired], second: Sequence[Paired]) -> Interval:
    """Correlate two estimands over the arms of the second, see
    :func:`biasprop.statistics.correlation.disjoint_correlation`."""
    import numpy as np

    from biasprop.statistics.correlation import disjoint_correlation
    from biasprop.statistics.handed_on import at_condition

    pairs = [(one.values, other.values) for other in second for one in at_condition(first, other)]
    if not pairs:
        return disjoint_correlation(np.empty((0, 0)), np.empty((0, 0)))
    x, y = (np.stack([pair[side] for pair in pairs], axis=1) for side in (0, 1))
    return disjoint_correlation(x, y)


def score(expected: str, low: float, high: float, margin: float) -> str:
    """Score a prediction.

    Args:
        expected: a key of :data:`SIGNS`.
        low, high: of the 95 % interval; NaN = there is none.
        margin: > 0.

    Returns:
        "hit" (the interval leaves out 0 on the expected side; or is inside the margin where ``negligible`` is
        expected), "miss" (it leaves out 0 on the other side, or includes 0 and is inside the margin; or is wholly
        beyond the margin where ``negligible`` is expected), else "open".
    """
    if expected == "negligible":
        return {NEGLIGIBLE: HIT, MATERIAL: MISS}.get(zone(low, high, margin), OPEN)
    sign = 1 if low > 0 else (-1 if high < 0 else 0)
    nothing = MISS if zone(low, high, margin) == NEGLIGIBLE else OPEN
    return {SIGNS[expected]: HIT, -SIGNS[expected]: MISS}.get(sign, nothing)


def scored(predictions: Sequence[Prediction], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the score of all predictions as JSON values.

    Args:
        predictions: from :func:`read`.
        results: study -> its JSON; those of an earlier version of the study have to be left out.
    """
    known = {
        entry["prediction"]: entry for result in results.values() for entry in result.get("predictions", ())
    }  # fmt: skip
    rows = []
    for one in predictions:
        found = known.get(one.number) or {}
        low, high = _float(found.get("low")), _float(found.get("high"))
        rows.append(
            {
                "prediction": one.number,
                "study": one.study,
                "quantity": one.quantity,
                "expected": one.expected,
                "margin": one.margin,
                **{name: found.get(name) for name in ("value", "low", "high", "reason")},
                "score": score(one.expected, low, high, one.margin) if found else NOT_RUN,
            }
        )
    ranked = [(SIGNS[row["expected"]], float(row["value"])) for row in rows if row["value"] is not None]
    counts = Counter(row["score"] for row in rows)
    return {
        "format": FORMAT,
        "counts": {word: counts[word] for word in (MISS, OPEN, HIT, NOT_RUN)},
        "kendall": _kendall(ranked),
        "predictions": rows,
    }


def _kendall(pairs: Sequence[tuple[int, float]]) -> dict[str, float] | None:
    """Kendall's tau-b of expected and observed order and its one-sided permutation p; None where it is not defined."""
    if len(pairs) < MIN_RANKED or len({expected for expected, _ in pairs}) < 2:
        return None
    from scipy.stats import kendalltau, permutation_test

    expected, observed = zip(*pairs, strict=True)

    def tau(order: Any) -> float:
        return kendalltau(order, observed).statistic  # pyright: ignore[reportAttributeAccessIssue]

    test = permutation_test(
        (expected,), tau, permutation_type="pairings", alternative="greater", n_resamples=9_999, rng=0
    )  # fmt: skip
    return {"tau": round(float(test.statistic), 4), "p": round(float(test.pvalue), 4), "n": len(pairs)}


def page(value: Mapping[str, Any], generated: str) -> str:
    """The page of the score.

    Args:
        value: from :func:`scored`.
        generated: the first line, which says what writes it.
    """
    counts, kendall = value["counts"], value["kendall"]
    said = f"Of {sum(counts.values())} predictions: " + ", ".join(f"{word} {n}" for word, n in counts.items()) + ". "
    if kendall:
        said += (
            f"Kendall's tau of expected sign and observed value is {kendall['tau']:.2f} over {kendall['n']} "
            f"predictions (one-sided permutation p {kendall['p']:.4f})."
        )
    else:
        said += f"A rank correlation is given from {MIN_RANKED} scored predictions on."
    head = ("no.", "study", "quantity", "expected", "observed", "95 % interval", "score", "note")
    order = {MISS: 0, OPEN: 1, HIT: 2, NOT_RUN: 3}
    rows = [
        [str(row["prediction"]), row["study"], row["quantity"], row["expected"], *_numbers(row), row["score"],
         row["reason"] or ""]
        for row in sorted(value["predictions"], key=lambda row: (order[row["score"]], row["prediction"]))
    ]  # fmt: skip
    parts = [generated, "# Predictions and what came out", filled(INTRODUCTION), filled(escaped(said))]
    return "\n\n".join([*parts, table(head, rows, left=(1, 2, 3, 6, 7))]) + "\n"


INTRODUCTION = (
    "The predictions of [predictions.toml](../predictions.toml) were written before any result of these studies with "
    "the present recipe had been seen and are never edited; [prediction_map.toml](../prediction_map.toml) says how "
    "each is computed. "
    "*Hit*: the 95 % interval leaves out 0 on the expected side, or lies inside the margin where a negligible effect "
    "was expected. *Miss*: it leaves out 0 on the other side, includes 0 and lies inside the margin, or lies wholly "
    "beyond the margin where a negligible effect was expected. *Open*: neither."
)


def _numbers(row: Mapping[str, Any]) -> tuple[str, str]:
    from biasprop.report.tables import bounds, number

    value, low, high = (_float(row[name]) for name in ("value", "low", "high"))
    return number(value, 3, signed=True), bounds(low, high, signed=True)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
