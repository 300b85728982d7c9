"""Every printed number, recomputed from the stored scores by scikit-learn and plain NumPy; JSON; the cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score, roc_auc_score

from biasprop.estimands import estimand as make
from biasprop.report.tables import as_json, tables, text
from biasprop.statistics.estimand import Estimand
from biasprop.statistics.measures import measure
from biasprop.statistics.summary import Summary, summary_of
from biasprop.store.json_cache import cached
from tests.synthetic import synthetic_cube

PAIR = ("light", "dark")
SWAP: dict[str, Any] = {"subgroups": PAIR, "factor": "pretraining", "skewed": ("all light", "all dark")}
TARGET = 0.85
FEW: dict[str, Any] = {"labels": 50}
BALANCED: dict[str, Any] = {"pretraining": "50/50", "labels": 50}
BOTH: dict[str, Any] = {"subgroups": PAIR, "secondary": True}
ESTIMANDS = [
    make(name="main", kind="swap_contrast", at={"labels": 50, "protocol": "full"}, primary=True, **SWAP),
    make(name="swap", kind="swap_contrast", at={"protocol": "linear_probe"}, secondary=True, **SWAP),
    make(name="auc", kind="gap", at=BALANCED, scale="auc", margin=0.3, **BOTH),
    make(name="excess", kind="excess_gap", factor="pretraining", reference="50/50", at=FEW, margin=1, **BOTH),
    make(name="kept", kind="retention", denominator={"labels": 50, "protocol": "linear_probe"}, **SWAP),
    make(name="half", kind="halving_budget", budget="labels", at={"protocol": "linear_probe"}, **SWAP),
]


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    factors = {
        "pretraining": ("all light", "50/50", "all dark"),
        "labels": (50, 1000),
        "protocol": ("linear_probe", "full"),
    }
    return synthetic_cube(factors, 5, 2, 240, 3, calibration=200, diverged=1, effect=0.9)


def cells(table: Any) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def number(value: float, digits: int = 3, sign: str = "") -> str:
    return "-" if np.isnan(value) else f"{value:{sign}.{digits}f}"


def bounds(low: float, high: float, sign: str = "") -> str:
    return f"[{number(low, 3, sign)}, {number(high, 3, sign)}]"


def t_p(values: np.ndarray, alternative: str = "two-sided") -> float:
    """p of SciPy's one-sample t test against 0."""
    return float(stats.ttest_1samp(values, 0.0, alternative=alternative)[1])  # pyright: ignore[reportArgumentType]


def t_bounds(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    found = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    return float(found.low), float(found.high)


def summarised(cube: xr.Dataset, estimands: list[Estimand] = ESTIMANDS) -> Summary:
    return summary_of(measure(cube, TARGET), estimands)


class Oracle:
    """What one arm's scores say, replicate by replicate; no code of the package."""

    def __init__(self, cube: xr.Dataset, **arm: Any):
        here = cube.sel(arm)
        self.replicates: list[int] = []
        self.values: dict[str, list[float]] = {}
        for r in range(cube.sizes["replicate"]):
            status = here["status"].values[r]
            planned = [d for d in range(len(status)) if status[d] != 4]
            if any(status[d] != 1 for d in planned):
                continue
            self.replicates.append(r)
            draws = [self.draw(here, r, d) for d in planned]
            for name in draws[0]:
                self.values.setdefault(name, []).append(float(np.mean([draw[name] for draw in draws])))
            probe = here["separability_score"].values[r]
            rendered = np.repeat([0, 1], probe.shape[1])
            self.values.setdefault("separability", []).append(float(roc_auc_score(rendered, probe.ravel())))

    def draw(self, here: xr.Dataset, r: int, d: int) -> dict[str, float]:
        healthy = np.sort(
            here["calibration_score"].values[r, d][here["calibration_label"].values[r] == 0].astype(float)
        )
        threshold = next(s for s in healthy if np.mean(healthy <= s) >= TARGET - 1e-12)
        y, found = here["label"].values[r], {"threshold": threshold}
        for k, name in enumerate(PAIR):
            s = here["score"].values[r, d, k].astype(float)
            found |= {f"{measure} {name}": value for measure, value in self.subgroup(s, y, threshold).items()}
            found[f"labelled {name}"] = float(here["train_auc"].values[r, d, k])
            found[f"optimism {name}"] = found[f"labelled {name}"] - found[f"auc {name}"]
        found["worst"] = min(found["auc light"], found["auc dark"])
        for scale in ("auc", "z"):
            found[f"{scale} gap"] = found[f"{scale} light"] - found[f"{scale} dark"]
        twins = here["score"].values[r, d].astype(float)
        found["flips"] = float(np.mean((twins[0] > threshold) != (twins[1] > threshold)))
        found["shift"] = float(np.mean(twins[0] - twins[1]))
        return found

    def subgroup(self, s: np.ndarray, y: np.ndarray, threshold: float) -> dict[str, float]:
        auc, p = roc_auc_score(y, s), expit(s)
        edges = np.sort(s)[[k * len(s) // 15 for k in range(1, 15)]]
        which = np.searchsorted(edges, s, side="right")
        bins = [which == k for k in range(15)]
        return {
            "auc": auc,
            "z": np.sqrt(2) * stats.norm.ppf(auc),
            "sens": recall_score(y, s > threshold),
            "spec": recall_score(y, s > threshold, pos_label=0),
            "under": np.mean(s[y == 1] <= threshold),
            "intercept": brentq(lambda a: expit(a + s).sum() - y.sum(), -9, 9, xtol=1e-12),  # pyright: ignore
            "slope": LogisticRegression(C=np.inf, tol=1e-10, max_iter=9999, solver="newton-cholesky")
            .fit(s[:, None], y)
            .coef_.item(),
            "ece": sum(b.mean() * abs(y[b].mean() - p[b].mean()) for b in bins),
            "expected": sum(np.sqrt(2 / np.pi * (p[b] * (1 - p[b])).sum()) for b in bins) / len(s),
            "n": len(s),
            "n+": y.sum(),
        }

    def mean(self, name: str, digits: int = 3, sign: str = "") -> str:
        return number(float(np.mean(self.values[name])), digits, sign)

    def interval(self, name: str, sign: str = "") -> str:
        return f"{self.mean(name, 3, sign)} {bounds(*t_bounds(np.array(self.values[name])), sign)}"

    def gap(self, count: int, scale: str = "z") -> np.ndarray:
        gaps = np.full(count, np.nan)
        gaps[self.replicates] = self.values[f"{scale} gap"]
        return gaps


@pytest.fixture(scope="module")
def oracle(cube: xr.Dataset) -> dict[tuple[Any, ...], Oracle]:
    return {
        (p, n, a): Oracle(cube, pretraining=p, labels=n, protocol=a)
        for p in cube["pretraining"].values.tolist()
        for n in cube["labels"].values.tolist()
        for a in cube["protocol"].values.tolist()
    }


@pytest.fixture(scope="module")
def printed(cube: xr.Dataset) -> list[list[list[str]]]:
    return [cells(table) for table in tables(summarised(cube))]


def test_every_number_of_the_discrimination_table(cube, oracle, printed) -> None:
    def levelled(arm: tuple[Any, ...]) -> str:
        here, base = oracle[arm], oracle["50/50", *arm[1:]]
        both = sorted(set(here.replicates) & set(base.replicates))
        z = {
            (who, name): np.mean([o.values[f"z {name}"][o.replicates.index(r)] for r in both])
            for who, o in (("here", here), ("base", base))
            for name in PAIR
        }
        better, worse = sorted(PAIR, key=lambda name: -z["base", name])
        narrower = abs(z["here", better] - z["here", worse]) < abs(z["base", better] - z["base", worse])
        fell, rose = z["here", better] < z["base", better] - 0.1, z["here", worse] > z["base", worse]
        return "yes" if narrower and fell and not rose else "no"

    expected = []
    for arm, o in oracle.items():
        row = [*map(str, arm), o.interval("auc light"), o.interval("auc dark"), o.mean("worst")]
        row += [o.mean("auc gap", sign="+"), o.interval("z gap", "+"), levelled(arm), str(len(o.replicates))]
        expected.append([*row, "-" if len(o.replicates) == 5 else "1 diverged"])
    assert printed[0] == expected
    assert sum(row[-1] == "1 diverged" for row in expected) == 1


def test_every_number_of_the_operating_point_table(oracle, printed) -> None:
    expected = []
    for arm, o in oracle.items():
        row = [*map(str, arm), o.mean("threshold", sign="+")]
        row += [o.mean(f"{measure} {name}") for measure in ("sens", "spec", "under") for name in PAIR]
        expected.append([*row, o.mean("flips"), o.mean("shift", sign="+"), o.mean("separability")])
    assert printed[1] == expected


def test_every_number_of_the_calibration_table(oracle, printed) -> None:
    expected = []
    for arm, o in oracle.items():
        row = [*map(str, arm), *(o.mean(f"intercept {name}", sign="+") for name in PAIR)]
        row += [o.mean(f"{measure} {name}") for measure in ("slope", "ece", "expected") for name in PAIR]
        expected.append([*row, *(o.mean(f"{measure} {name}", 0) for measure in ("n", "n+") for name in PAIR)])
    assert printed[2] == expected


def test_every_number_of_the_optimism_table(oracle, printed) -> None:
    expected = []
    for arm, o in oracle.items():
        row = [*map(str, arm), *(o.mean(f"labelled {name}") for name in PAIR)]
        expected.append([*row, *(o.interval(f"optimism {name}", "+") for name in PAIR)])
    assert printed[3] == expected


def test_every_number_of_the_estimates(cube, oracle, printed) -> None:
    def gap(arm: tuple[Any, ...], scale: str = "z") -> np.ndarray:
        return oracle[arm].gap(5, scale)

    def beta(n: int, a: str) -> np.ndarray:
        return 0.5 * (gap(("all light", n, a)) - gap(("all dark", n, a)))

    probe = "linear_probe"
    below = beta(50, probe)
    stated: list[tuple[str, str, np.ndarray, np.ndarray | None, float]] = [
        ("main*", "labels 50, full", beta(50, "full"), None, 0.05),
        ("swap", "labels 50, linear_probe", beta(50, probe), None, 0.05),
        ("swap", "labels 1000, linear_probe", beta(1000, probe), None, 0.05),
        ("auc", "50/50, labels 50, linear_probe", gap(("50/50", 50, probe), "auc"), None, 0.3),
        ("auc", "50/50, labels 50, full", gap(("50/50", 50, "full"), "auc"), None, 0.3),
    ]
    for p in ("all light", "all dark"):
        for a in (probe, "full"):
            stated.append(("excess", f"{p}, labels 50, {a}", gap((p, 50, a)) - gap(("50/50", 50, a)), None, 1.0))
    for n, a in ((50, "full"), (1000, probe), (1000, "full")):
        stated.append(("kept", f"labels {n}, {a}", beta(n, a), below, 0.1))

    def interval(x: np.ndarray, y: np.ndarray | None, level: float) -> tuple[float, float]:
        if y is None:
            return t_bounds(x, level)
        centre, spread = x.mean() / y.mean(), 20.0
        miss = lambda r: t_p(x - r * y) - (1 - level)  # noqa: E731
        return brentq(miss, centre - spread, centre), brentq(miss, centre, centre + spread)  # pyright: ignore

    clean = []
    for name, arm, x, y, margin in stated:
        there = ~np.isnan(x) if y is None else ~(np.isnan(x) | np.isnan(y))
        clean.append((name, arm, x[there], None if y is None else y[there], margin))
    levels = {"main": 0.05} | dict.fromkeys(("swap", "auc", "excess"), 0.05 / (2 + 2 + 4))
    for row, (name, arm, x, y, margin) in zip(printed[-1], clean, strict=False):
        value, sign = (x.mean(), "+") if y is None else (x.mean() / y.mean(), "")
        alpha = levels.get(name.rstrip("*"), np.nan)
        low, high = interval(x, y, 1 - np.nan_to_num(alpha, nan=0.05))
        role = {"main*": "primary", "kept": "exploratory"}.get(name, "secondary")
        residual = x if y is None else (x - value * y) / abs(y.mean())
        assert row[:8] == [
            name,
            arm,
            role,
            number(value, 3, sign),
            bounds(*interval(x, y, 0.95), sign),
            "-" if np.isnan(alpha) else bounds(low, high, sign),
            "-" if np.isnan(alpha) else f"{margin:g}",
            number(residual.std(ddof=1) / np.sqrt(len(x))),
        ]
        assert row[8:10] == ["t" if y is None else "Fieller", str(len(x))]
        nearest, farthest = max(low, -high), max(-low, high)  # from 0; below 0 if it is inside
        if nearest > margin:
            word = "material"
        elif farthest < margin:
            word = "negligible"
        else:
            word = "present, size unclear" if nearest > 0 else "not resolved"
        assert row[10] == ("" if np.isnan(alpha) else word)
    (half,) = printed[-1][len(clean) :]
    curve = np.column_stack([beta(50, probe), beta(1000, probe)])
    curve = np.abs(curve[~np.isnan(curve).any(axis=1)].mean(axis=0))
    assert half[:4] == ["half", "linear_probe", "exploratory", "1000"]
    assert curve[1] < curve[0] / 2
    assert half[9:11] == [str(len(below) - 1), "reached"]


def test_levels_and_words_vary_enough_to_test_anything(printed) -> None:
    words = {row[10] for row in printed[-1]}
    assert words == {"material", "negligible", "present, size unclear", "not resolved", "", "reached"}


def test_the_json_object(cube: xr.Dataset, tmp_path: Path) -> None:
    summary = summarised(cube)
    found = as_json(summary.estimates, study="toy", digest="ab", store=tmp_path / "x", done=2, total=3)
    written = json.dumps(found, allow_nan=False)
    assert list(found) == ["study", "digest", "store", "cells", "estimates"]
    assert found["cells"] == {"done": 2, "total": 3}
    assert Path(found["store"]).is_absolute()
    read = json.loads(written)["estimates"]
    assert {"name", "arm", "value", "low", "high", "method", "replicates", "verdict"} <= set(read[0])
    assert read[0]["arm"] == {"labels": 50, "protocol": "full"}
    assert read[-1]["low"] is None  # a halving budget has no interval: NaN is null
    assert read[1]["value"] == summary.estimates[1].value
    json.dumps(summary.to_json(), allow_nan=False)


def test_notes_say_what_the_numbers_do_not(cube: xr.Dataset) -> None:
    shown = text(tables(summarised(cube)), 200)
    assert "1 of 5 replicates left out: 1 diverged" in shown
    assert "light - dark" in shown
    assert "nan" not in shown.lower()
    empty = synthetic_cube({"pretraining": ("all light", "all dark")}, 2, 1, 20, open_arms=4)
    nothing = text(tables(summarised(empty, [ESTIMANDS[2].model_copy(update={"at": {}})])), 160)
    assert "2 of 2 replicates left out: 2 not run" in nothing
    assert "nan" not in nothing.lower()


def test_the_cache_is_never_a_source(tmp_path: Path) -> None:
    made = []

    def compute() -> dict[str, Any]:
        made.append(1)
        return {"value": len(made), "none": None}

    assert cached(tmp_path, "a", compute) == cached(tmp_path, "a", compute) == {"value": 1, "none": None}
    assert cached(tmp_path, "b", compute)["value"] == 2
    file = tmp_path / "cache" / "a.json"
    for damage in ("", "{", "[]", "null", file.read_text().replace('"value": 1', '"value": 7')):
        file.write_text(damage)
        before = len(made)
        assert cached(tmp_path, "a", compute)["value"] == before + 1
        assert cached(tmp_path, "a", compute)["value"] == before + 1  # written again
    file.write_text((tmp_path / "cache" / "b.json").read_text())  # another key's content
    assert cached(tmp_path, "a", compute)["value"] == len(made)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_store_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert cached(tmp_path, "a", lambda: {"value": 1}) == {"value": 1}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("biasprop.report.tables", {"jax", "flax", "xarray", "rich", "scipy", "numpy"}),
        ("biasprop.estimands", {"jax", "flax", "xarray", "pandas", "scipy.stats", "scipy.optimize"}),
        ("biasprop.statistics.estimate, biasprop.statistics.levels, biasprop.metrics", {"jax", "flax", "rich"}),
    ],
)
def test_imports_stay_light(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


def test_pretext_losses_stand_once_an_encoder() -> None:
    cube = synthetic_cube({"pretraining": ("all light", "all dark"), "labels": (50, 1000)}, 5, 1, 60, 3)
    drawn = np.random.default_rng(0).normal(3.0, 0.2, (2, 5, 2)).astype("f4")
    told = xr.DataArray(drawn, dims=("pretraining", "replicate", "subgroup"))
    cube["pretext_loss"] = told.broadcast_like(cube["pretext_loss"]).transpose(*cube["pretext_loss"].dims)
    table = tables(summarised(cube, ESTIMANDS[:1]))[4]
    assert table.title is not None and str(table.title).startswith("Pretext loss")
    values = [[f"{number(x.mean(), 3)} {bounds(*t_bounds(x))}" for x in own.T] for own in drawn.astype(float)]
    assert cells(table) == [["all light", "50", *values[0]], ["all dark", "50", *values[1]]]
