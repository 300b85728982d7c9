"""What is loaded when: help, argument errors and readers of results do not wait for JAX."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.source_tree import ROOT

HEAVY = {
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "pandas",
    "xarray",
    "zarr",
    "matplotlib",
    "dask",
    "pydantic",
}

PROBE = """
import json, sys
try:
    {statement}
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""


def loaded(statement: str) -> set[str]:
    """Names of the modules in a fresh interpreter after one statement."""
    command = [sys.executable, "-c", PROBE.format(statement=statement)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import biasprop",
        "from biasprop import run; run.main(['--help'])",
        "from biasprop import run; run.main(['a.toml', '--no-such-option'])",
        "from biasprop import run; run.main([])",
        "from biasprop import show; show.main(['--help'])",
        "from biasprop import page; page.main(['--help'])",
        "from biasprop.coverage import __main__ as coverage; coverage.main(['--help'])",
        "from biasprop.audit import __main__ as audit; audit.main(['--help'])",
        "from biasprop.card import __main__ as card; card.main(['--help'])",
        "from biasprop.bench import __main__ as bench; bench.main(['--help'])",
        "from paper import make; make.main(['--help'])",
    ],
)
def test_help_and_argument_errors_load_nothing_heavy(statement: str) -> None:
    assert not loaded(statement) & HEAVY


@pytest.mark.parametrize(
    "module",
    [
        "biasprop.store.store",
        "biasprop.store.view",
        "biasprop.store.encoders",
        "biasprop.html.blocks",
        "biasprop.report.figures",
        "biasprop.metrics",
        "biasprop.report.plotting",
        "biasprop.report.tables",
        "biasprop.statistics.estimate",
        "biasprop.audit.audited",
        "biasprop.card.document",
        "biasprop.report.audit_tables",
        "biasprop.report.figures.audited",
    ],
)
def test_reading_results_needs_no_jax(module: str) -> None:
    assert not loaded(f"import {module}") & {"jax", "jaxlib", "flax", "optax"}


def test_a_plan_loads_only_what_it_needs() -> None:
    """JAX knows the device; a plan waits for nothing else that takes long to load."""
    found = loaded("from biasprop import run; run.main(['studies/skin_tone.toml', '--plan', '--out', 'nowhere'])")
    assert "jax" in found
    assert not found & (HEAVY - {"jax", "jaxlib", "numpy", "scipy", "pydantic"} | {"scipy.stats", "scipy.optimize"})


def test_opening_a_cube_needs_no_jax() -> None:
    assert not loaded("from biasprop import open_cube") & {"jax", "jaxlib", "flax", "optax"}


def test_what_computes_and_judges_waits_for_neither_figures_nor_all_of_scipy() -> None:
    found = loaded("import biasprop.execution.job, biasprop.statistics.estimate")
    assert not found & {"matplotlib", "scipy.stats", "scipy.optimize"}
