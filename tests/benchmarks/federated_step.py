"""What a step of federated pretraining costs beside a pooled step on the same images.

``python -m tests.benchmarks.federated_step STUDY [--sites ATTRIBUTE] [--local-steps N] [--set KEY=VALUE]`` prints the
processor's milliseconds of a pooled step, of the same step with local negatives, of a federated step, and of one update
by the study's optimiser of one network and of one network for each site. Loops take turns, and medians and ratios
within turns are printed, because the processor's time varies less than the wall's on a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.federated_step", description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--sites", metavar="ATTRIBUTE")
    parser.add_argument("--local-steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    from biasprop.hardware import environment

    environment.configure()
    from biasprop.hardware import device

    with device.computing():
        _measure(given)


def _measure(given: argparse.Namespace) -> None:
    import jax

    from biasprop.bench import stages
    from biasprop.loops import LOOPS
    from biasprop.study import design
    from biasprop.study.load import load_study
    from biasprop.training import pretrain
    from biasprop.training.batching import over_cells

    study = load_study(given.study, tuple(given.set))
    condition = next(c.condition for c in design.cells(study) if c.condition.pretraining.objective.trains)

    def segments(kind: str, **values: Any) -> tuple[Callable[[], Any], int, Any]:
        """One segment of a loop, its steps, and its task."""
        loop = LOOPS[kind].model_validate({"sites": given.sites} | values)
        pretraining = condition.pretraining.model_copy(update={"loop": loop, "stages": ()})
        cells = stages.batch(condition.model_copy(update={"pretraining": pretraining}), study.seed, 1)
        task = pretrain.prepared(cells)
        state = over_cells(pretrain.start)(task, pretrain.untrained(cells))
        return lambda: over_cells(pretrain.run_segment)(task, state), loop.segment_steps, task

    loops = {
        "pooled": segments("pooled"),
        "pooled, local negatives": segments("pooled", negatives="site"),
        "federated": segments("federated", local_steps=given.local_steps),
    }
    task = loops["federated"][2]
    sites = task.members.sizes.shape[1]
    params = jax.tree.map(lambda leaf: leaf[0], pretrain.untrained(stages.batch(condition, study.seed, 1)))
    updates = {f"optimiser, {n} network{'s' * (n > 1)}": _updates(condition, params, n) for n in (1, sites)}
    measured = {name: (run, steps) for name, (run, steps, _) in loops.items()} | updates
    turns: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(given.repeats + 1):
        for name, (run, steps) in measured.items():
            began = time.process_time()
            jax.block_until_ready(run())
            if turn:  # the first compiles
                turns[name].append((time.process_time() - began) / steps)
    print(f"{sites} sites, {condition.pretraining.schedule.batch} images a step, {given.local_steps} local steps")
    for name, seconds in turns.items():
        ratios = sorted(one / pooled for one, pooled in zip(seconds, turns["pooled"], strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) of pooled"
        print(f"{name:<26}{1e3 * statistics.median(seconds):8.2f} ms   {spread}")


def _updates(condition: Any, params: Any, networks: int) -> tuple[Callable[[], Any], int]:
    """Updates of several networks by the optimiser of a condition, and how many."""
    import jax
    import jax.numpy as jnp

    from biasprop.nn.optimisation import SEGMENT

    many = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], networks, axis=0), params)
    optimiser = condition.pretraining.schedule.transformation()
    moments = jax.vmap(optimiser.init)(many)

    @jax.jit
    def run(params: Any, moments: Any) -> Any:
        def step(state: Any, _: None) -> tuple[Any, None]:
            params, moments = state
            updates, moments = jax.vmap(optimiser.update)(params, moments, params)  # parameters stand for gradients
            return (jax.tree.map(jnp.add, params, updates), moments), None

        return jax.lax.scan(step, (params, moments), length=SEGMENT)[0]

    return lambda: run(many, moments), SEGMENT


if __name__ == "__main__":
    main()
