"""One job: a batch of cells from encoder to stored arms. Runs in any process that has the package and the folders."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biasprop import NUMERICS, keys
from biasprop.difficulty import calibration_cache
from biasprop.execution.checkpoint import Checkpoint
from biasprop.hardware import device
from biasprop.interfaces import Params
from biasprop.metrics import auc
from biasprop.nn import optimisation
from biasprop.population import rosters
from biasprop.status import TO_DO, Status
from biasprop.store.encoders import EncoderStore, encoder_key
from biasprop.store.file_lock import locked
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.conditions import PretrainingCondition
from biasprop.study.design import Arm, Cell
from biasprop.study.study import Origin, Study, remake
from biasprop.training import adapt, pretrain, rendering, score
from biasprop.training.batching import Batch

Tell = Callable[[dict[str, Any]], None]
"""Receives events: ``{"cell", "stage", "step", "steps"}`` inside a cell, ``{"arm", "status", "seconds"}`` after one."""


@dataclass(frozen=True)
class Job:
    """A batch of cells, named by their places in the study's full list; nothing else needs to travel."""

    origin: str
    """How the study came about, as JSON."""
    members: tuple[int, ...]
    """Positions in ``design.cells``; a batch that is not full repeats its last cell."""
    wanted: tuple[int, ...]
    """Positions of the arms to compute, in the cells' own lists, which hold the same fine-tuning conditions."""
    store: str
    encoders: str
    wait: bool = False
    """Whether to wait for another process that has claimed one of the cells, instead of leaving the job alone."""

    def text(self) -> str:
        """The job as JSON."""
        return json.dumps(self.__dict__)

    @classmethod
    def of(cls, text: str) -> Job:
        """The job that :meth:`text` wrote."""
        told = json.loads(text)
        return cls(**told | {"members": tuple(told["members"]), "wanted": tuple(told["wanted"])})


@dataclass
class StageTimer:
    """Seconds spent in each stage, compilation apart."""

    seconds: dict[str, float] = field(default_factory=dict)
    arms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, arm: str | None = None) -> Iterator[None]:
        """Time a stage, of one arm where it is named; what was compiled meanwhile counts as ``compile``."""
        began, compiled = time.monotonic(), _compiled()
        try:
            yield
        finally:
            compiling = _compiled() - compiled
            spent = max(time.monotonic() - began - compiling, 0.0)
            for key, seconds in (("compile", compiling), (name, spent)):
                self.seconds[key] = self.seconds.get(key, 0.0) + seconds
            if arm is not None:
                self.arms[arm] = self.arms.get(arm, 0.0) + spent


def run(text: str, tell: Tell) -> dict[str, Any]:
    """Compute the open arms of a job and store them; finished ones are left alone.

    Args:
        text: from :meth:`Job.text`.
        tell: is told what happens.

    Returns:
        ``seconds`` by stage (compile, pretrain, render, adapt, evaluate), ``arms``: name -> seconds without
        compilation, and ``claimed``: whether nothing was done, because another process is at one of the cells.
    """
    job = Job.of(text)
    study, cells = _study(job.origin)
    members = [cells[i] for i in job.members]
    store = Store.open(job.store)
    clock = StageTimer()
    with _locked_cells(store, study, members, job.wait, tell) as held:
        if held:
            _compute(study, members, store, job, clock, tell)
            for cell in _distinct(members):
                tell({"cell": cell.name, "stage": "done", "step": 1, "steps": 1})
    return {"claimed": not held, "seconds": clock.seconds, "arms": clock.arms}


@contextmanager
def _locked_cells(store: Store, study: Study, members: list[Cell], wait: bool, tell: Tell) -> Iterator[bool]:
    """Be the only process that computes these cells, whatever its device, while inside.

    Yields:
        Whether it is; without ``wait`` another process may be at one of them.
    """
    folder = store.path / "locks"
    folder.mkdir(exist_ok=True)
    names = {f"{encoder_digest(cell.condition, study.seed)}-{cell.replicate}": cell for cell in members}
    with ExitStack() as claims:
        for name in sorted(names):  # in one order everywhere, so that nobody waits in a ring
            if wait:
                tell({"cell": names[name].name, "stage": "wait for another process", "step": 0, "steps": 1})
            if not claims.enter_context(locked(folder / name, wait=wait)):
                yield False
                return
        yield True


def _compute(study: Study, members: list[Cell], store: Store, job: Job, clock: StageTimer, tell: Tell) -> None:
    """Compute what is open of a batch; where the device has not the memory, in halves, which is another fingerprint;
    arms of a cell that does not fit alone have failed."""
    places = [k for k in job.wanted if any(is_open(store, member, member.arms[k]) for member in members)]
    if not places:
        return
    names = [member.name for member in members]
    try:
        _Batch(study, members, store, job, clock, tell).run(places)
    except jax.errors.JaxRuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        store.log({"event": "out of memory", "cells": names, "width": len(members), "why": str(error)[:500]})
    else:
        store.log({"event": "cells", "cells": names, "seconds": clock.seconds})
        return
    # Out here nothing holds what the failed attempt had allocated.
    if len(members) == 1:
        for k in places:
            failed = [Status.FAILED] * members[0].arms[k].draws
            _store_arm(store, members[0], k, {}, failed, 0.0, device.fingerprint(1), tell)
        return
    half, sharing = -(-len(members) // 2), device.sharing(len(members))
    if half > sharing:  # the devices go on sharing it
        half = -(-half // sharing) * sharing
    for part in (members[:half], members[-half:]):
        _compute(study, part, store, job, clock, tell)


def _store_arm(
    store: Store,
    cell: Cell,
    k: int,
    data: dict[str, Any],
    went: list[Status],
    seconds: float,
    mark: dict[str, Any],
    tell: Tell,
    **told: Any,
) -> None:
    """Store the k-th arm of a cell, unless it is there already, and say so."""
    arm = cell.arms[k]
    if not is_open(store, cell, arm):
        return
    store.write(arm.levels, cell.replicate, data, went, seconds, mark)
    name, status = f"{arm.name}, replicate {cell.replicate}", int(max(went))
    store.log({"event": "arm", "arm": name, "status": status, "seconds": round(seconds, 3)} | told)
    tell({"arm": name, "status": status, "seconds": seconds})


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def is_open(store: Store, cell: Cell, arm: Arm) -> bool:
    """Whether an arm is still to be computed: never stored, or failed."""
    draws = store.status_of(arm.levels, cell.replicate)[: arm.draws]
    return bool(np.isin(draws, TO_DO).any())


@functools.lru_cache(maxsize=4)
def _study(origin: str) -> tuple[Study, list[Cell]]:
    told = json.loads(origin)
    study = remake(Origin(**told | {"set": tuple(told["set"])}))
    return study, design.cells(study)


def _distinct(members: list[Cell]) -> list[Cell]:
    """The cells of a batch without the repetitions that fill it."""
    return list({member.name: member for member in members}.values())


class _Batch:
    """The cells of one job while they are computed."""

    def __init__(self, study: Study, members: list[Cell], store: Store, job: Job, clock: StageTimer, tell: Tell):
        self.study, self.members, self.store, self.clock, self.tell = study, members, store, clock, tell
        self.largest = design.largest_cohort(_study(job.origin)[1])
        self.encoders = EncoderStore(job.encoders, lambda line: store.log({"event": "damaged", "what": line}))
        devices = device.sharing(len(members))
        self.mark = device.fingerprint(len(members) // devices, devices)
        conditions = [calibration_cache.with_calibration(cell.condition) for cell in members]
        self.batch = Batch(
            jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *conditions),
            jnp.stack([keys.replicate(study.seed, cell.replicate) for cell in members]),
        )

    def run(self, places: list[int]) -> None:
        """Compute the arms at these positions of every member's list."""
        params, diverged = self._encoders()
        with self.clock.stage("render"):
            seen = {"realised_share": pretrain.realised_shares(self.batch)}
        with self.clock.stage("evaluate"):
            seen["pretext_loss"] = pretrain.pretext_losses(self.batch, params, self.study.evaluation.pretext)
        params = params["encoder"]
        # Sized by all arms of the study, wanted now or not, so that the same shapes are compiled every time.
        every = [arm.condition for arm in self.members[0].arms]
        pool = max(int(condition.finetuning.labels) for condition in every)
        for population, same in itertools.groupby(sorted(places, key=self._population), self._population):
            with self.clock.stage("render"):
                self._report("render", 0, 1)
                finetuning, evaluation = every[population].finetuning, every[population].evaluation
                who = rosters.rosters(finetuning, evaluation, list(self.study.subgroups), pool)
                finetuner = adapt.Finetuner(self.batch, params, who, evaluation)
                scorer = score.Scorer(self.batch, params, who, finetuner.sets)
                latents = rendering.latents(self.batch, who)
                jax.block_until_ready(finetuner.sets)
            for k in same:
                self._arm(k, finetuner, scorer, latents, seen, diverged)

    def _population(self, k: int) -> int:
        """Position of the first arm whose subjects come from the same populations as those of the k-th."""
        conditions = [arm.condition for arm in self.members[0].arms]
        drawn = [(c.finetuning.shares, c.finetuning.prevalence, c.finetuning.shifts, c.evaluation) for c in conditions]
        return drawn.index(drawn[k])

    def _arm(
        self,
        k: int,
        finetuner: adapt.Finetuner,
        scorer: score.Scorer,
        latents: rendering.Latents,
        seen: dict[str, np.ndarray],
        diverged: list[str],
    ) -> None:
        began = time.monotonic()
        first = self.members[0].arms[k]
        try:
            draws = [self._draw(first, draw, finetuner, scorer) for draw in range(first.draws)]
        except Exception as error:  # an arm that cannot be computed must not take its neighbours along
            if len(self.members) > 1 and _is_out_of_memory(error):
                raise  # half of them may fit
            draws, why = [], traceback.format_exc()
            self.store.log({"event": "failed", "arm": first.name, "traceback": why})
        seconds = time.monotonic() - began
        for i, cell in enumerate(_distinct(self.members)):
            arm = cell.arms[k]
            went, data, why = [Status.FAILED] * arm.draws, {}, {}
            if draws:
                causes = [f"pretraining: {diverged[i]}" if diverged[i] else draw.unusable(i) for draw in draws]
                went = [Status.DIVERGED if cause else Status.OK for cause in causes]
                why = (
                    {"why": {f"draw {draw}": cause for draw, cause in enumerate(causes) if cause}}
                    if any(causes)
                    else {}
                )
                data = _data(i, draws, finetuner.who, latents) | {name: values[i] for name, values in seen.items()}
            _store_arm(self.store, cell, k, data, went, seconds, self.mark, self.tell, **why)

    def _draw(self, arm: Arm, draw: int, finetuner: adapt.Finetuner, scorer: score.Scorer) -> score.Scores:
        with self.clock.stage("adapt", arm.name):
            adapted = jax.block_until_ready(finetuner.adapt(arm.condition.finetuning, draw, self._report))
        with self.clock.stage("evaluate", arm.name):
            return scorer.score(adapted)

    def _encoders(self) -> tuple[Params, list[str]]:
        """All parameters, stored ones where every member has them, pretrained and stored otherwise; and why each
        diverged."""
        if not self.batch.condition.pretraining.objective.trains:
            return pretrain.pretrain(self.batch, self._report)
        members = [
            encoder_key(self._digest(cell), device.fingerprint_digest(self.mark), cell.replicate)
            for cell in self.members
        ]
        if found := self._stored(members):
            return found
        with self.encoders.locked(members):  # another process, maybe of another study, may be making them
            return self._stored(members) or self._pretrained(members)

    def _stored(self, members: list[str]) -> tuple[Params, list[str]] | None:
        template = jax.eval_shape(lambda: pretrain.untrained(self.batch))
        names = _names(template)
        found = [self.encoders.load(key) for key in members]
        if not all(arrays is not None and list(arrays) == names for arrays in found):
            return None
        leaves = [jnp.stack([arrays[name] for arrays in found if arrays is not None]) for name in names]
        info = [self.encoders.info(key) or {} for key in members]
        return jax.tree.unflatten(jax.tree.structure(template), leaves), [_diverged(told) for told in info]

    def _pretrained(self, members: list[str]) -> tuple[Params, list[str]]:
        checkpoint = Checkpoint(self.encoders, members, self.store.log)
        with self.clock.stage("pretrain"):
            params, diverged = pretrain.pretrain(self.batch, self._report, checkpoint, self.largest)
            jax.block_until_ready(params)
        for i, key in enumerate(dict.fromkeys(members)):  # whatever fills the batch repeats its last cell
            leaves = [np.asarray(leaf[i]) for leaf in jax.tree.leaves(params)]
            condition = self.members[i].condition.model_dump(mode="json")
            info = {"diverged": diverged[i], "condition": condition, "fingerprint": self.mark}
            self.encoders.save(key, dict(zip(_names(params), leaves, strict=True)), info)
            self.store.log({"event": "encoder", "encoder": key})
        checkpoint.drop()
        return params, diverged

    def _digest(self, cell: Cell) -> str:
        """Names an encoder apart from its replicate and fingerprint: studies of one seed share it."""
        return encoder_digest(cell.condition, self.study.seed)

    def _report(self, stage: str, step: int, steps: int) -> None:
        for cell in _distinct(self.members):
            self.tell({"cell": cell.name, "stage": stage, "step": step, "steps": steps})


def _names(params: Params) -> list[str]:
    """Names of the leaves, in order."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def _diverged(info: dict[str, Any]) -> str:
    """Why a stored encoder's pretraining diverged; older ones say only when."""
    step = info.get("diverged_at", optimisation.NOT_DIVERGED)
    return info.get("diverged", "" if step == optimisation.NOT_DIVERGED else f"step {step} is not finite")


def encoder_digest(condition: PretrainingCondition, seed: int) -> str:
    """32 hexadecimal digits of everything an encoder depends on apart from its replicate and fingerprint."""
    whole = {"condition": condition.model_dump(mode="json"), "seed": seed, "numerics": NUMERICS}
    # Subgroups keep their order: it decides which index a subject of the cohort gets.
    text = json.dumps([whole, list(condition.generator.subgroups)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _data(
    i: int, draws: list[score.Scores], who: dict[str, rosters.Roster], latents: rendering.Latents
) -> dict[str, Any]:
    """Everything stored of one arm of the i-th cell."""
    stacked = {
        name: np.stack([getattr(draw, name)[i] for draw in draws]) for name in ("test", "selection", "calibration")
    }
    seen = draws[0].selection_count
    labelled = len(draws[0].train[i])
    told, whose = who["train"].recorded[:labelled], who["train"].subgroup[:labelled]
    fitted = np.stack([draw.train[i] for draw in draws])
    own = [auc(fitted, told, whose == g) for g in range(stacked["test"].shape[1])]
    return {
        "score": stacked["test"].astype("f4"),
        "train_auc": np.stack(own, axis=-1).astype("f4"),
        "separability_score": draws[0].separability[i].astype("f4"),
        "label": who["test"].label.astype("i1"),
        "latents": latents.test[i].astype("f4"),
        "selection_score": stacked["selection"][:, :seen].astype("f4"),
        "selection_label": who["selection"].label[:seen].astype("i1"),
        "selection_subgroup": who["selection"].subgroup[:seen].astype("i1"),
        "selection_latents": latents.selection[i][:, :seen].astype("f4"),
        "calibration_score": stacked["calibration"].astype("f4"),
        "calibration_label": who["calibration"].label.astype("i1"),
        "calibration_subgroup": who["calibration"].subgroup.astype("i1"),
        "calibration_latents": latents.calibration[i].astype("f4"),
    }


_durations: list[float] = []


def _listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if event.startswith("/jax/core/compile"):  # what a cache retrieves counts in here too
        _durations.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)


def _compiled() -> float:
    """Seconds this process has spent tracing, lowering and compiling."""
    return sum(_durations)
