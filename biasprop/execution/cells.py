"""Computing a batch of cells: encoders, fine-tuning and scores of every open arm, and storing them."""

from __future__ import annotations

import itertools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biasprop import keys
from biasprop.execution import variables
from biasprop.execution.encoders import BatchEncoders
from biasprop.execution.stage_timer import StageTimer
from biasprop.hardware import device
from biasprop.interfaces import Params, has_people
from biasprop.observers import calibration_cache
from biasprop.population import rosters
from biasprop.population.shifts import score_noise
from biasprop.status import TO_DO, Status
from biasprop.store.encoders import EncoderStore
from biasprop.store.store import Store
from biasprop.study.design import Arm, Cell
from biasprop.study.study import Study
from biasprop.terminal import first_line
from biasprop.training import adapt, pretrain, rendering, score
from biasprop.training.batching import Batch, stacked
from biasprop.training.compilation import ahead, rehearsal
from biasprop.training.people import with_people

MAX_CAUSE = 300
"""Characters of an error that a line of the report shows; the event log has its traceback."""

Report = Callable[[dict[str, Any]], None]
"""Receives events: ``{"cell", "stage", "step", "steps"}`` in a stage, ``{"arm", "status", "seconds"}`` after an arm."""


class CellBatch:
    """Cells that are computed together; their conditions are pytrees of the same structure.

    Args:
        study: the cells' study.
        members: cells, the last one repeated where the batch is not full.
        store: the study's result store.
        encoders: store of pretrained encoders.
        largest_cohort: size of the study's largest pretraining cohort.
        timer: accumulates seconds by stage.
        report: called with events.
    """

    def __init__(
        self,
        study: Study,
        members: list[Cell],
        store: Store,
        encoders: EncoderStore,
        largest_cohort: int,
        timer: StageTimer,
        report: Report,
    ):
        self.study, self.members, self.store, self.timer, self.report = study, members, store, timer, report
        devices = device.sharing(len(members))
        self.fingerprint = device.fingerprint(len(members) // devices, devices)
        replicates = [keys.replicate(study.seed, cell.replicate) for cell in members]
        calibrated = [calibration_cache.with_calibration(cell.condition) for cell in members]
        conditions = [with_people(condition, key) for condition, key in zip(calibrated, replicates, strict=True)]
        self.batch = Batch(stacked(conditions), jnp.stack(replicates))
        self.encoders = BatchEncoders(
            self.batch,
            members,
            study.seed,
            self.fingerprint,
            encoders,
            largest_cohort,
            timer,
            self._report_step,
            store.log,
        )

    def run(self, arms: list[int]) -> None:
        """Compute and store the arms at these positions of every member's list."""
        with ahead(lambda: self.rehearse(arms)):
            params, diverged = self.encoders.load_or_pretrain()
        with ahead(lambda: self.rehearse(arms, params)):
            self._run(arms, params, diverged)

    def rehearse(self, arms: list[int], params: Params | None = None) -> None:
        """Compile the programs of these arms, as far as no other process is compiling them; nothing is computed.

        Args:
            arms: positions in every member's list.
            params: from pretraining, if that is done.
        """

        def report(*_: Any) -> None:
            self._report_step("compile", 0, 1)

        with rehearsal():
            known = params or pretrain.pretrain(self.batch, report, None, self.encoders.largest_cohort)[0]
            self._per_cell(known)
            for one, group in self._by_population(arms):
                finetuner, scorer, _ = self._prepared(one, known["encoder"])
                for k in group:
                    condition = self.members[0].arms[k].condition
                    noise = score_noise(condition.evaluation.shifts, self.study.subgroups)
                    scorer.score(finetuner.adapt(condition.finetuning, 0, report), noise)

    def _run(self, arms: list[int], params: Params, diverged: list[str]) -> None:
        with self.timer.stage("evaluate"):
            per_cell = self._per_cell(params)
        for one, group in self._by_population(arms):
            with self.timer.stage("render"):
                self._report_step("render", 0, 1)
                finetuner, scorer, latents = self._prepared(one, params["encoder"])
            for k in group:
                self._arm(k, finetuner, scorer, latents, per_cell, diverged)

    def _per_cell(self, params: Params) -> dict[str, np.ndarray]:
        """Stored variables of every encoder."""
        results = variables.EncoderResults(self.batch, params, self.study.evaluation.pretext)
        first = self.members[0]
        return variables.data_of_encoders(results, first.condition, first.arms[0].condition, self.store.layout.sizes)

    def _prepared(self, one: int, params: Params) -> tuple[adapt.Finetuner, score.Scorer, rendering.Latents]:
        """What arms share whose subjects come from the populations of the arm at this position."""
        # Size arrays for all arms of the cell, not only those to compute now, so that compiled shapes never differ.
        conditions = [arm.condition for arm in self.members[0].arms]
        pool = max(condition.train_count for condition in conditions)
        finetuning, evaluation = conditions[one].finetuning, conditions[one].evaluation
        roster = rosters.rosters(
            finetuning,
            evaluation,
            list(self.study.subgroups),
            pool,
            self.study.generator.diseases,
            rendering.missed_labels(self.batch),
            has_people(self.study.generator),
        )
        finetuner = adapt.Finetuner(self.batch, params, roster, evaluation)
        scorer = score.Scorer(self.batch, params, roster, finetuner.sets)
        latents = rendering.latents(self.batch, roster)
        jax.block_until_ready(finetuner.sets)
        return finetuner, scorer, latents

    def _by_population(self, arms: list[int]) -> Iterator[tuple[int, Iterator[int]]]:
        """Arms grouped by their populations, each with the position of the first arm that has them."""
        return itertools.groupby(sorted(arms, key=self._population), self._population)

    def _population(self, k: int) -> int:
        """Position of the first arm whose subjects come from the same populations as those of the k-th arm."""
        conditions = [arm.condition for arm in self.members[0].arms]
        populations = [
            (f.task, f.shares, f.prevalence, f.shifts, e.of_subjects())
            for f, e in ((c.finetuning, c.evaluation) for c in conditions)
        ]
        return populations.index(populations[k])

    def _arm(
        self,
        k: int,
        finetuner: adapt.Finetuner,
        scorer: score.Scorer,
        latents: rendering.Latents,
        per_cell: dict[str, np.ndarray],
        diverged: list[str],
    ) -> None:
        """Fine-tune, score and store the k-th arm of every cell, all draws."""
        start = time.monotonic()
        first, failure = self.members[0].arms[k], ""
        try:
            draws = [self._draw(first, draw, finetuner, scorer) for draw in range(first.draws)]
        except Exception as error:  # an arm that cannot be computed must not stop the others
            if len(self.members) > 1 and is_out_of_memory(error):
                raise  # half of the batch may fit
            draws, failure = [], error_line(error)
            self.store.log({"event": "failed", "arm": first.name, "traceback": traceback.format_exc()})
        seconds = time.monotonic() - start
        for i, cell in enumerate(distinct(self.members)):
            arm = cell.arms[k]
            status, data, why = [Status.FAILED] * arm.draws, {}, {"all draws": failure}
            if draws:
                causes = [f"pretraining: {diverged[i]}" if diverged[i] else draw.unusable(i) for draw in draws]
                status = [Status.DIVERGED if cause else Status.OK for cause in causes]
                why = {f"draw {draw}": cause for draw, cause in enumerate(causes) if cause}
                results = variables.ArmResults(draws, finetuner.rosters, latents, i)
                data = variables.data_of_arm(results, cell.condition, arm.condition, self.store.layout.sizes)
                data |= {name: values[i] for name, values in per_cell.items()}
            store_arm(self.store, cell, k, data, status, seconds, self.fingerprint, self.report, why)

    def _draw(self, arm: Arm, draw: int, finetuner: adapt.Finetuner, scorer: score.Scorer) -> score.Scores:
        with self.timer.stage("adapt", arm.name):
            adapted = jax.block_until_ready(finetuner.adapt(arm.condition.finetuning, draw, self._report_step))
        with self.timer.stage("evaluate", arm.name):
            noise = score_noise(arm.condition.evaluation.shifts, self.study.subgroups)
            return scorer.score(adapted, noise)

    def _report_step(self, stage: str, step: int, steps: int) -> None:
        for cell in distinct(self.members):
            self.report({"cell": cell.name, "stage": stage, "step": step, "steps": steps})


def distinct(members: list[Cell]) -> list[Cell]:
    """The cells of a batch without the repeats that pad it."""
    return list({member.name: member for member in members}.values())


def is_open(store: Store, cell: Cell, arm: Arm) -> bool:
    """Whether an arm is still to be computed: never stored, or failed."""
    draws = store.status_of(arm.levels, cell.replicate)[: arm.draws]
    return bool(np.isin(draws, TO_DO).any())


def error_line(error: BaseException) -> str:
    """An error as one line of a report: its type, and the first line of its message, at most :data:`MAX_CAUSE` long."""
    line = first_line(error)
    return line if len(line) <= MAX_CAUSE else f"{line[:MAX_CAUSE]} ..."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device had too little memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def store_arm(
    store: Store,
    cell: Cell,
    k: int,
    data: dict[str, Any],
    status: list[Status],
    seconds: float,
    fingerprint: dict[str, Any],
    report: Report,
    why: Mapping[str, str],
) -> None:
    """Store the k-th arm of a cell, unless it is stored already, and report it.

    Args:
        store, cell, k, data, status, seconds, fingerprint, report: what to store where, and whom to tell.
        why: what the event log has of draws without a result: which draws -> cause.
    """
    arm = cell.arms[k]
    if not is_open(store, cell, arm):
        return
    store.write(arm.levels, cell.replicate, data, status, seconds, fingerprint)
    name, worst = f"{arm.name}, replicate {cell.replicate}", int(max(status))
    causes = {"why": dict(why)} if why else {}
    store.log({"event": "arm", "arm": name, "status": worst, "seconds": round(seconds, 3)} | causes)
    report({"arm": name, "status": worst, "seconds": seconds})
