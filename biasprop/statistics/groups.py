"""Measures of groups of subgroups, and twin metrics of one attribute with the others held.

A cube whose subgroups have attributes says so in its attribute ``population``, JSON text: ``attributes`` (their names),
``subgroups`` (pairs of a name and the value of each attribute), ``groups`` (pairs of a name and its subgroups) and
``weights`` (of subgroups; none if they are equal). A group is measured as one subgroup whose test subjects are the
weighted twins of all its subgroups: its AUC therefore depends on how the scores of its subgroups lie relative to each
other, not only on the AUC of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.metrics import METRICS

SUBJECTS, INDEPENDENT = "subjects", "independent"
"""Attribute of a cube, and its value if test subjects of different subgroups are different people; absent if they are
twins."""

LIMITS = (
    "No twins, ideal observers or latents: subgroups are compared as independent people, and intervals over replicates "
    "describe draws from the people of this table, not other people."
)
"""What a study of people of a table cannot say."""

Measure = Callable[[xr.Dataset], xr.Dataset]
"""Measures of a cube in which groups have no meaning (:mod:`.measures`)."""


class Composition(NamedTuple):
    """Which subgroups of a cube make its groups, and which differ in one attribute only."""

    groups: Mapping[str, Sequence[str]]
    """Group -> its subgroups, without groups of a single subgroup of the same name."""
    attributes: Mapping[str, Mapping[str, str]]
    """Subgroup -> attribute -> value."""
    weights: Mapping[str, float]
    """Subgroup -> weight of its twins in groups; empty if they are equal."""

    def strata(self, attribute: str) -> list[list[str]]:
        """Sets of at least two subgroups that differ in this attribute only, in the order of the cube."""
        strata: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for subgroup, values in self.attributes.items():
            held = tuple((name, value) for name, value in values.items() if name != attribute)
            strata.setdefault(held, []).append(subgroup)
        return [stratum for stratum in strata.values() if len(stratum) > 1]


def composition(cube: xr.Dataset) -> Composition | None:
    """Groups and attributes of a cube's subgroups; None if it has none, or its attribute is damaged."""
    try:
        stated = json.loads(cube.attrs.get("population", "null"))
        values, subgroups = dict(stated["subgroups"]), cube["subgroup"].values.tolist()
        attributes = {name: dict(zip(stated["attributes"], values[name], strict=True)) for name in subgroups}
        groups = {name: [x for x in subgroups if x in inside] for name, inside in stated["groups"]}
        weights = {name: float(stated["weights"][name]) for name in subgroups} if stated.get("weights") else {}
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return Composition({name: inside for name, inside in groups.items() if inside}, attributes, weights)


def subgroups_of(measures: xr.Dataset) -> list[str]:
    """Names along ``subgroup`` that are subgroups, without the groups that come after them."""
    names = [str(name) for name in measures["subgroup"].values]
    return names[: measures.attrs.get("subgroups", len(names))]


def has_twins(cube: xr.Dataset) -> bool:
    """Whether a test subject's scores in several subgroups are of its twins, and not of people who have nothing but
    their label in common."""
    return cube.attrs.get(SUBJECTS) != INDEPENDENT


def with_groups(cube: xr.Dataset, measure: Measure) -> xr.Dataset:
    """Measures of a cube's subgroups, with its groups as further entries of ``subgroup``, after them.

    ``flip_rate`` and ``score_shift`` of an attribute (``flip_rate_by_attribute``, dim ``attribute``) compare twins that
    differ in this attribute only; they are averaged over the values of the others. A training AUC of a group is not
    known, because stores have it by subgroup: NaN. The attribute ``subgroups`` is the number of subgroups.
    """
    measures, composed = measure(cube), composition(cube)
    if composed is None:
        return measures
    weights = composed.weights
    each = [measures, *(measure(_as_one(cube, name, inside, weights)) for name, inside in composed.groups.items())]
    # Variables without subgroups are those of the cube: a group's cube has other twins.
    found = xr.concat(each, dim="subgroup", data_vars="minimal", coords="minimal", compat="override", join="exact")
    found = found.assign({name: found[name].transpose(*measures[name].dims) for name in measures.data_vars})
    found = found.assign(_by_attribute(cube, measures["threshold"], composed))
    return found.assign_attrs(measures.attrs | {"subgroups": cube.sizes["subgroup"]})


def _as_one(cube: xr.Dataset, name: str, inside: Sequence[str], weights: Mapping[str, float]) -> xr.Dataset:
    """A cube with one subgroup, whose subjects are the twins of some subgroups of another cube.

    The coord ``weight`` [subject] is there if weights are given. Calibration subjects have the weight 1.
    """
    part = cube.sel(subgroup=list(inside))
    place = [cube["subgroup"].values.tolist().index(subgroup) for subgroup in inside]
    made: dict[str, Any] = {}
    for variable in ("score", "separability_score", "judged_label"):
        if variable in part.variables:
            made[variable] = _pooled(part[variable])
    made["label"] = _pooled(part["label"].expand_dims(subgroup=len(inside), axis=-2)).isel(subgroup=0)
    for variable in ("train_auc", "realised_share", "pretext_loss", "share", "label_share"):
        if variable in part.variables:
            made[variable] = _combined(variable, part[variable], weights)
    made["calibration_subgroup"] = xr.where(cube["calibration_subgroup"].isin(place), 0, -1)
    kept = part.drop_dims(["subgroup", "subject"])
    coords = {coord: values for coord, values in made.items() if coord in cube.coords}
    kept = kept.assign({variable: values for variable, values in made.items() if variable not in coords})
    if weights:
        coords["weight"] = "subject", np.repeat([weights[subgroup] for subgroup in inside], cube.sizes["subject"])
    return kept.assign_coords({**coords, "subgroup": [name]})


def _pooled(values: xr.DataArray) -> xr.DataArray:
    """Twins of all subgroups as subjects of one: the last two dims, subgroup and subject, become [1, subject]."""
    values = values.drop_vars([name for name in values.coords if name not in values.dims])
    values = values.drop_vars("subgroup", errors="ignore").transpose(..., "subgroup", "subject")
    pooled = values.values.reshape(*values.shape[:-2], 1, -1)
    return xr.DataArray(pooled, {n: c for n, c in values.coords.items() if n != "subject"}, values.dims)


def _combined(variable: str, values: xr.DataArray, weights: Mapping[str, float]) -> xr.DataArray:
    """A group's value of what exists by subgroup: shares add, losses are averaged, a training AUC is unknown."""
    by_subgroup = [weights.get(str(name), 1.0) for name in values["subgroup"].values]
    values = values.drop_vars([name for name in values.coords if name not in values.dims])
    if variable == "train_auc":
        combined = values.isel(subgroup=[0]) * np.nan if values.sizes["subgroup"] > 1 else values
    elif variable == "pretext_loss":
        mean = values.weighted(xr.DataArray(by_subgroup, dims="subgroup")).mean("subgroup", skipna=False)
        combined = mean.expand_dims("subgroup", axis=values.get_axis_num("subgroup"))
    else:
        total = values.sum("subgroup", skipna=False)
        combined = total.expand_dims("subgroup", axis=values.get_axis_num("subgroup"))
    return combined.drop_vars("subgroup", errors="ignore")


def _by_attribute(cube: xr.Dataset, threshold: xr.DataArray, composed: Composition) -> dict[str, xr.DataArray]:
    """Twin metrics of every attribute: [..., attribute]; NaN where no two subgroups differ in it alone."""
    names = list(next(iter(composed.attributes.values())))
    score = cube["score"].transpose(*threshold.dims, "subgroup", "subject")
    found = {}
    for metric in (name for name, metric in METRICS.items() if metric.twins):
        values = np.full((*threshold.shape, len(names)), np.nan)
        for i, attribute in enumerate(names):
            strata = [score.sel(subgroup=stratum).values for stratum in composed.strata(attribute)]
            if strata and has_twins(cube):
                values[..., i] = np.mean([_of_twins(metric, twins, threshold.values) for twins in strata], axis=0)
        dims = (*threshold.dims, "attribute")
        found[f"{metric}_by_attribute"] = xr.DataArray(values, {"attribute": names}, dims)
    return found


def _of_twins(metric: str, scores: NDArray, threshold: NDArray) -> NDArray[np.float64]:
    needs = {"threshold": threshold}
    return METRICS[metric].function(scores, *(needs[need] for need in METRICS[metric].needs))
