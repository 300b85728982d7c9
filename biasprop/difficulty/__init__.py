"""Difficulty modes, one per file: how hard the task is in one subgroup relative to another.

The task may be harder in one subgroup for any observer, because of physics alone. ``natural`` leaves that unadjusted.
The other modes make the subgroups equally hard, in three senses:

- ``calibrated``: noise is added to the easier subgroups until the ideal observers' AUCs match (equal AUC at one task,
  not equal images, and not equal ease of learning);
- ``invertible``: noise is added first and subgroups then differ by a bijection, under which likelihood ratios are
  invariant (equal for every observer who knows the subgroup, at any task);
- ``symmetric``: subgroups are mirror images of each other (equal for every observer, and for every learner whose
  training distribution is invariant to mirroring).

A mode is a :class:`.mode.Mode`: it states what it needs of a generator (a capability protocol of
:mod:`biasprop.interfaces`, by which a generator supports it) and sets optional fields of a subject, such as its dose,
before the generator sees it. A generator knows no mode. :func:`.wrapper.in_modes` wraps a table of generators: the
wrapped classes define ``[generator]`` of a study file, the generator's keys and ``difficulty``.

To add one: write one file, add one line to :data:`DIFFICULTIES`, and regenerate the schema of study files.
"""

from biasprop.difficulty.calibrated import Calibrated
from biasprop.difficulty.invertible import Invertible
from biasprop.difficulty.mode import Mode
from biasprop.difficulty.natural import Natural
from biasprop.difficulty.symmetric import Symmetric
from biasprop.difficulty.wrapper import InMode, in_modes, supported
from biasprop.generators import GENERATORS

__all__ = ["DIFFICULTIES", "IN_MODES", "InMode", "Mode", "in_modes", "supported"]

DIFFICULTIES: dict[str, type[Mode]] = {
    "natural": Natural,
    "calibrated": Calibrated,
    "invertible": Invertible,
    "symmetric": Symmetric,
}

IN_MODES = in_modes(GENERATORS, DIFFICULTIES)
"""Kind -> generator with the field ``difficulty``, as a study file defines it."""
