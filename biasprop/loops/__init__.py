"""Pretraining loops, one file per loop: how parameters follow from the batches of a cohort.

A loop is a frozen :class:`biasprop.component.Component` that satisfies
:class:`biasprop.interfaces.Loop`: ``start`` makes a state of initial parameters, ``segment`` advances it by
``segment_steps`` steps in one compiled call, and ``params`` are the parameters that a state has reached. Reports,
checkpoints and interruptions happen between segments and change no bit, so everything that a loop remembers is in its
state. A state is a pytree of arrays with the fields ``step`` and ``diverged_at``; steps beyond the schedule change
nothing, and a run that diverges keeps its last finite parameters. A loop draws batches with ``task.rows``, or others
from ``task.cohort``, and takes losses with ``task.loss_of_rows``; ``task.loss`` does both. A loop that derives from
:class:`.sites.AcrossSites` has a cohort that is divided among sites, and draws and evaluates their batches with
``task.site_rows`` and ``task.site_loss`` (:class:`biasprop.interfaces.SiteSteps`).

``README.md`` says what the loops across sites compute, what they cost, and how the same objective runs under Flower.

To add one: write one file, add one line to :data:`LOOPS`, and regenerate the schema of study files with ``python -m
biasprop.study.schema``. The contract tests in ``tests/loops`` read the table and test the new member.
"""

from biasprop.component import Component
from biasprop.loops.central import Central
from biasprop.loops.federated import Federated
from biasprop.loops.pooled import Pooled

LOOPS: dict[str, type[Component]] = {
    "central": Central,
    "federated": Federated,
    "pooled": Pooled,
}
