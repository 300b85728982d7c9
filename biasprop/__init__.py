"""How much of a skew in pretraining is left after fine-tuning on a balanced population?

>>> import biasprop
>>> cube = biasprop.run_study("studies/skin_tone.toml")  # or: python -m biasprop.run studies/skin_tone.toml
>>> cube = biasprop.open_cube("results/skin_tone-...")
>>> table = biasprop.dataframe("results/skin_tone-...")
>>> biasprop.estimates("results/skin_tone-...")  # with bars in a notebook, as studies and audits have tables there
>>> axes = biasprop.plot("results/skin_tone-...", "z_gap", "labels", "pretraining", at={"protocol": "full"})
>>> audit = biasprop.audit_scores(scores, target, groups, score_is="probability")  # of any model, no simulation

Importing the package loads nothing else; each public name loads its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biasprop.draw import plot as plot
    from biasprop.report.estimates import estimates as estimates
    from biasprop.report.tidy_table import dataframe as dataframe
    from biasprop.run import run_study as run_study
    from biasprop.statistics.audit import audit_scores as audit_scores
    from biasprop.store.view import open_cube as open_cube
    from biasprop.study.load import load_study as load_study

__version__ = "0.1.0"

NUMERICS = 4
"""Version of the numbers, part of every digest: increased by one with every entry under "Numerics" in the changelog,
when the same study gives other numbers."""

__all__ = [
    "NUMERICS",
    "__version__",
    "audit_scores",
    "dataframe",
    "estimates",
    "load_study",
    "open_cube",
    "plot",
    "run_study",
]

_HOMES = {
    "audit_scores": "biasprop.statistics.audit",
    "dataframe": "biasprop.report.tidy_table",
    "estimates": "biasprop.report.estimates",
    "load_study": "biasprop.study.load",
    "open_cube": "biasprop.store.view",
    "plot": "biasprop.draw",
    "run_study": "biasprop.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
