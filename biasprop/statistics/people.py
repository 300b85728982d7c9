"""A user's table of scored people, checked and turned into arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biasprop.component import InputError

MAX_GROUPS = 100
"""Largest number of groups of an attribute; more are most likely numbers that have to be cut into bins."""


class Attribute(NamedTuple):
    """One way to divide people into groups."""

    name: str
    groups: tuple[str, ...]
    """Names, also of empty groups."""
    member: NDArray[np.int16]
    """[n], the number of each entry's group; -1 = not known."""


@dataclass(frozen=True)
class People:
    """Scored people, one entry each, or several entries of one cluster."""

    scores: NDArray[np.float64]
    """[n], as given (log-odds, probabilities or ranks); NaN = missing."""
    labels: NDArray[np.int8]
    """[n], 0 or 1; -1 = missing."""
    weight: NDArray[np.float64] | None
    """[n], >= 0; None = all 1."""
    cluster: NDArray[np.int32]
    """[n], the number of each entry's cluster; without clusters, of the entry."""
    clustered: bool
    """Whether clusters were given."""
    attributes: tuple[Attribute, ...]


def read_people(
    scores: Any,
    target: Any,
    groups: Any,
    weight: Any = None,
    cluster: Any = None,
    score_is: str = "ranking",
    intersections: bool = False,
) -> People:
    """Check a table and turn it into arrays; the arguments are those of ``biasprop.audit_scores``.

    Raises:
        InputError: an argument is not one-dimensional, has another length or index than the scores, or has a value that
            is not allowed; the message names the argument and the entry.
    """
    columns = {"scores": scores, "target": target, "weight": weight, "cluster": cluster}
    given = {name: _column(name, values) for name, values in columns.items() if values is not None}
    if "scores" not in given or "target" not in given:
        raise InputError("scores and target must be given")
    named = _attributes(groups)
    lengths = {**given, **{f"groups ({name})": values for name, values in named.items()}}
    problems = [
        f"{name}: {len(values)} entries, but scores has {len(given['scores'])}"
        for name, values in lengths.items()
        if len(values) != len(given["scores"])
    ]
    if problems:
        raise InputError(problems)
    _same_index(lengths, [scores, target, weight, cluster, groups])

    score = _numbers("scores", given["scores"])
    if score_is == "probability":
        _check("scores", score, (score >= 0) & (score <= 1) | np.isnan(score), "a probability in [0, 1]")
    labels = _numbers("target", given["target"])
    _check("target", labels, np.isin(labels, (0, 1)) | np.isnan(labels), "0 or 1, or NaN where it is missing")
    weights = _numbers("weight", given["weight"]) if "weight" in given else None
    if weights is not None:
        _check("weight", weights, (weights >= 0) & np.isfinite(weights), "finite and not negative")
    member = np.arange(len(score))
    if "cluster" in given:
        member, _ = pd.factorize(given["cluster"])
        _check("cluster", np.asarray(given["cluster"]), member >= 0, "known for every entry")
    attributes = [_attribute(name, values) for name, values in named.items()]
    if intersections and len(attributes) > 1:
        attributes.append(_intersection(attributes))
    return People(
        score,
        np.where(np.isnan(labels), -1, labels).astype(np.int8),
        weights,
        member.astype(np.int32),
        "cluster" in given,
        tuple(attributes),
    )


def _column(name: str, values: Any) -> pd.Series:
    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)
    array = values if isinstance(values, pd.Categorical | pd.api.extensions.ExtensionArray) else np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{name}: must have one dimension, not the shape {array.shape}")
    return pd.Series(array)


def _attributes(groups: Any) -> dict[str, pd.Series]:
    if isinstance(groups, pd.DataFrame):
        groups = {name: groups[name] for name in groups.columns}
    if isinstance(groups, Mapping):
        if not groups:
            raise InputError("groups: there is no attribute")
        return {str(name): _column(f"groups ({name})", values) for name, values in groups.items()}
    if groups is None:
        raise InputError("groups must be given")
    name = getattr(groups, "name", None)
    return {"group" if name is None else str(name): _column("groups", groups)}


def _same_index(columns: Mapping[str, pd.Series], given: Sequence[Any]) -> None:
    """Entries are taken in their order, so two pandas objects that are indexed differently would be mixed up."""
    spread = [part for values in given for part in (values.values() if isinstance(values, Mapping) else [values])]
    indices = [part.index for part in spread if isinstance(part, pd.Series | pd.DataFrame)]
    if any(not index.equals(indices[0]) for index in indices[1:]):
        raise InputError(
            f"{', '.join(columns)}: these have different pandas indices; align them, or pass arrays (to_numpy)"
        )


def _numbers(name: str, values: pd.Series) -> NDArray[np.float64]:
    if values.dtype == np.float64:
        return values.to_numpy()  # no copy of millions of rows
    missing = values.isna().to_numpy()
    result = np.full(len(values), np.nan)
    try:
        result[~missing] = values[~missing].to_numpy().astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: must be numbers ({error})") from error
    return result


def _check(name: str, values: NDArray[Any], allowed: NDArray[np.bool_], what: str) -> None:
    wrong = np.flatnonzero(~allowed)
    if len(wrong):
        more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        raise InputError(f"{name}: must be {what}, but entry {wrong[0]} is {values[wrong[0]]}{more}")


def _attribute(name: str, values: pd.Series) -> Attribute:
    categories = pd.Categorical(values)
    groups = tuple(str(group) for group in categories.categories)
    if len(set(groups)) < len(groups):
        twice = next(group for group in groups if groups.count(group) > 1)
        raise InputError(f"groups ({name}): several values are written {twice!r}")
    _limit(name, len(groups))
    return Attribute(name, groups, categories.codes.astype(np.int16))


def _intersection(attributes: Sequence[Attribute]) -> Attribute:
    name = " x ".join(attribute.name for attribute in attributes)
    sizes = [len(attribute.groups) for attribute in attributes]
    _limit(name, int(np.prod(sizes)))
    known = np.all([attribute.member >= 0 for attribute in attributes], axis=0)
    member = np.zeros(len(known), np.int16)
    for size, attribute in zip(sizes, attributes, strict=True):
        member = (member * size + attribute.member).astype(np.int16)
    names = (", ".join(names) for names in product(*(attribute.groups for attribute in attributes)))
    return Attribute(name, tuple(names), np.where(known, member, np.int16(-1)))


def _limit(name: str, groups: int) -> None:
    if groups > MAX_GROUPS:
        raise InputError(
            f"groups ({name}): {groups:,} groups, at most {MAX_GROUPS}; cut numbers into bins (pandas.cut)"
        )
