"""Shapley shares of a gap: a game worked by hand, efficiency, and what has no part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from biasprop.estimands import estimand
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from tests.synthetic import synthetic_cube

MECHANISMS = ("acquisition", "prevalence", "annotation")
FACTORS = {"share": ("none", "half")} | dict.fromkeys(MECHANISMS, ("off", "on"))
OFF, ON = (dict.fromkeys(MECHANISMS, level) for level in ("off", "on"))
REPLICATES = 3
V = {
    (): 0.1,
    ("acquisition",): 0.5,
    ("prevalence",): 0.2,
    ("annotation",): 0.1,
    ("acquisition", "prevalence"): 0.9,
    ("acquisition", "annotation"): 0.5,
    ("prevalence", "annotation"): 0.2,
    ("acquisition", "prevalence", "annotation"): 0.9,
}
"""Mechanisms that are on -> gap; annotation is a null player."""


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    """The gap of light over dark is V with share ``none`` and a third of it with ``half``, and differs by replicate."""
    found = measure(synthetic_cube(FACTORS, replicates=REPLICATES, draws=1, subjects=24), 0.8)
    game = np.zeros((2, 2, 2))
    for on, value in V.items():
        game[tuple(int(name in on) for name in MECHANISMS)] = value
    gap = xr.DataArray(np.stack([game, game / 3]), {k: list(v) for k, v in FACTORS.items()}, tuple(FACTORS))
    scale = xr.DataArray([0.5, 1.0, 1.5], dims="replicate")
    light = xr.DataArray([1.0, 0.0], dims="subgroup")
    return found.assign(z=(gap * scale * light + 1.0 + 0.0 * found["z"]).transpose(*found["z"].dims))


def share(measures: xr.Dataset, mechanism: str, **changes: Any) -> Any:
    table = {"mechanism": mechanism, "off": OFF, "on": ON, "subgroups": ("light", "dark"), "at": {"share": "none"}}
    (found,) = estimates(measures, [estimand("shapley_share", name=mechanism, **table | changes)])
    return found


def test_by_hand(measures: xr.Dataset) -> None:
    """Acquisition adds .4 alone and .7 after prevalence, prevalence .1 and .4: (.4 + .7) / 2 and (.1 + .4) / 2."""
    found = {name: share(measures, name) for name in MECHANISMS}
    assert found["acquisition"].value == pytest.approx(0.55)
    assert found["prevalence"].value == pytest.approx(0.25)
    assert found["annotation"].value == pytest.approx(0.0, abs=1e-12)
    assert found["acquisition"].se == pytest.approx(0.55 * 0.5 / 3**0.5)
    assert found["acquisition"].arm == {"share": "none"}


@pytest.mark.parametrize(("minus", "total"), [({}, 0.8), ({"share": "half"}, 0.8 * 2 / 3)])
def test_shares_sum_to_all_minus_none(measures: xr.Dataset, minus: dict[str, str], total: float) -> None:
    """Also of the excess gap, which is v at one level minus v at another."""
    assert sum(share(measures, name, minus=minus).value for name in MECHANISMS) == pytest.approx(total)


def test_of_two_mechanisms_it_holds_the_third_where_at_fixes_it(measures: xr.Dataset) -> None:
    two = {"off": {"acquisition": "off", "prevalence": "off"}, "on": {"acquisition": "on", "prevalence": "on"}}
    assert share(measures, "prevalence", at={"share": "half", "annotation": "on"}, **two).value == pytest.approx(
        0.25 / 3
    )


def test_a_replicate_that_lacks_one_of_the_arms_is_left_out(measures: xr.Dataset) -> None:
    gone = (measures["acquisition"] == "on") & (measures["prevalence"] == "on") & (measures["replicate"] == 0)
    found = share(measures.assign(z=measures["z"].where(~gone)), "annotation")
    assert found.replicates == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"on": {"acquisition": "on", "prevalence": "on"}}, "annotation is in one"),
        ({"on": ON | {"prevalence": "off"}}, "those of prevalence are the same"),
        ({"mechanism": "share"}, "allowed: acquisition, prevalence, annotation"),
        ({"off": {"acquisition": "off"}, "on": {"acquisition": "on"}}, "at least 2 items"),
        ({"at": {"acquisition": "on"}}, "at must not fix acquisition"),
        ({"minus": {"prevalence": "on"}}, "minus must not fix prevalence"),
        ({"subgroups": ("dark", "dark")}, "two different subgroups"),
    ],
)
def test_what_is_no_game_is_refused(changes: dict[str, Any], said: str) -> None:
    table = {"mechanism": "acquisition", "off": OFF, "on": ON, "subgroups": ("light", "dark")}
    with pytest.raises(ValidationError, match=said):
        estimand("shapley_share", name="share", **table | changes)
