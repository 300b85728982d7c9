"""`python -m tests.benchmarks.side_by_side [STUDY]`: a study by this package and by PyTorch, in turn, on one machine.

Stages are timed one process at a time, ours and PyTorch's in turn; the ratio is the median of the paired ratios. Then
one pretrained and one untrained encoder of the study with all their steps, the same arms and images, two processes on
either side, in turn as well. And whether the AUCs of the two agree, without which no figure counts, and how long either
takes to the same interval of the primary contrast. PyTorch's images are rendered beforehand, by our generator, once a
replicate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks import agreement, same_interval

STAGES = ("pretrain", "finetune", "probe", "evaluate")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.side_by_side", description=__doc__)
    add = parser.add_argument
    add("study", type=Path, nargs="?", default=Path("studies/skin_tone.toml"))
    add("--steps", type=float, default=1.0, metavar="F", help="part of the study's training steps (1: all)")
    add("--cells", type=int, default=1, metavar="N", help="the first N pretraining conditions and scratch (1)")
    add("--replicates", type=int, default=1, metavar="N", help="replicates of the study (1)")
    add("--repeats", type=int, default=3, metavar="N", help="pairs of timings of each stage and of the study (3)")
    add(
        "--recipe",
        choices=("study", "plain"),
        default="study",
        help="how PyTorch trains: as the study says, or AdamW with cosine decay, as written without a search",
    )
    add(
        "--sd",
        type=float,
        nargs=2,
        metavar=("OURS", "THEIRS"),
        help="sd over replicates of the primary contrast, if known; else of the replicates that ran",
    )
    add("--only", choices=("stages", "study"), help="one of the two parts")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="what PyTorch computes on; ours takes what JAX finds")
    add("--width", type=int, default=1, metavar="N", help="cells in a batch of ours, stages only (1)")
    add("--no-compile", action="store_true", help="PyTorch without torch.compile")
    add("--json", action="store_true", help="one JSON object instead of tables")
    return parser


class Worker:
    """A process that answers a JSON line with a JSON line."""

    def __init__(self, *words: str):
        threads = {"NPROC": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask and wait for the answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)


@contextmanager
def workers(*lines: Sequence[str]) -> Iterator[list[Worker]]:
    """Worker processes that end with the block."""
    started = [Worker(*line) for line in lines]
    try:
        yield started
    finally:
        for worker in started:
            worker.process.communicate()


def stages(ours: Sequence[str], theirs: Sequence[str], repeats: int) -> list[dict[str, Any]]:
    """Each stage in turn by ours and by theirs; a first pair, which compiles, is left out."""
    found = []
    with workers(ours, theirs) as (one, other):
        for stage in STAGES:
            pairs = [(one.ask(time=stage), other.ask(time=stage)) for _ in range(repeats + 1)][1:]
            row: dict[str, Any] = {"stage": stage}
            for clock in ("seconds", "processor"):
                each = [(a[clock] / a["work"], b[clock] / b["work"]) for a, b in pairs]
                ratios = sorted(b / a for a, b in each)
                row[clock] = {
                    "ours": statistics.median(a for a, _ in each),
                    "theirs": statistics.median(b for _, b in each),
                    "ratio": statistics.median(ratios),
                    "range": [ratios[0], ratios[-1]],
                }
            found.append(row)
            _tell(_stage_line(row))
    return found


def our_study(study: Path, overrides: Sequence[str], only: Sequence[str], out: Path) -> dict[str, Any]:
    """The whole study by the command, into an empty folder of stores."""
    line = [sys.executable, "-m", "biasprop.run", str(study), "--out", str(out), "--json", "-q"]
    line += [word for each in overrides for word in ("--set", each)] + [w for each in only for w in ("--only", each)]
    began = time.perf_counter()
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    wall = time.perf_counter() - began
    store = json.loads(done.stdout)["store"]
    return {"wall": wall, "cells": same_interval.timed_cells(store), "store": store}


def their_study(
    folder: Path, tasks: Sequence[dict[str, int]], how: Sequence[str], processes: int, scratch: int
) -> dict[str, Any]:
    """The same cells by worker processes, each taking the next that is left; ``scratch`` is the number of that cell."""
    began, left, answers = time.perf_counter(), list(tasks), []
    line = ["tests.benchmarks.peer_study", str(folder), *how]
    with workers(*[line] * processes) as started:

        def feed(worker: Worker) -> None:
            while left:
                answers.append(worker.ask(**left.pop(0)))

        threads = [threading.Thread(target=feed, args=(worker,)) for worker in started]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == len(tasks), "a worker was lost"
    kinds = ["scratch" if answer["cell"] == scratch else "pretrained" for answer in answers]
    spent = [sum(answer["seconds"].values()) for answer in answers]
    return {"wall": time.perf_counter() - began, "cells": list(zip(kinds, spent, strict=True))}


def overrides(study: Path, part: float) -> list[str]:
    """``--set`` words that leave a part of all training steps, in whole segments: we compute no others."""
    from biasprop.study import design
    from biasprop.study.load import load_study
    from tests.benchmarks.images import whole_segments

    whole = load_study(study)
    protocols = {
        arm.condition.finetuning.protocol.kind: arm.condition.finetuning.protocol for _, arm in design.arms(whole)
    }
    probe, full = (protocols[kind].model_dump() for kind in agreement.PROTOCOLS)
    for recipe in (full["pretrained"], full["scratch"]):
        for table, names in (("schedule", ("steps",)), ("stopping", ("patience", "shortest", "fixed_steps"))):
            recipe[table] |= {name: whole_segments(recipe[table][name], part) for name in names}
    return [
        f"pretraining.schedule.steps={whole_segments(whole.pretraining.schedule.steps, part)}",
        f"factors.protocol.levels=[{_inline(probe)}, {_inline(full)}]",
    ]


def _inline(value: Any) -> str:
    """A value as TOML in one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_inline(part)}' for name, part in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value)


def main() -> None:
    """Compare and print."""
    given = arguments().parse_args()
    from biasprop.hardware import environment

    environment.configure()
    from biasprop.bench.timing import load
    from biasprop.hardware import device
    from biasprop.study import design
    from biasprop.study.load import load_study
    from tests.benchmarks.images import export

    whole = load_study(given.study)
    labels = [cell.label for cell in design.cells(whole) if cell.replicate == 0]
    chosen = [*[one for one in labels if one != "scratch"][: given.cells], "scratch"]
    how = ["--device", given.device, *(["--no-compile"] if given.no_compile else [])]
    found: dict[str, Any] = {
        "machine": {"before": load()},
        "fingerprint": device.fingerprint(1),
        "torch": _torch(),
        "recipe": given.recipe,
    }
    changes = [*overrides(given.study, given.steps), f"replicates={given.replicates}"]
    with device.computing(), tempfile.TemporaryDirectory(prefix="side-by-side-") as place:
        folder = Path(place)
        rendering = export(
            load_study(given.study, tuple(changes)),
            folder,
            given.replicates,
            plain=given.steps if given.recipe == "plain" else None,
        )
        _tell(f"images of the peer rendered in {rendering:.1f} s")
        if given.only != "study":
            ours = ["tests.benchmarks.ours", str(given.study), "--width", str(given.width)]
            found["stages"] = stages(ours, ["tests.benchmarks.peer_study", place, *how], given.repeats)
        if given.only != "stages":
            tasks = [{"cell": labels.index(one), "replicate": r} for r in range(given.replicates) for one in chosen]
            only = [f"pretraining={one}" for one in chosen]
            processes = 1 if given.device == "cuda" else min(2, os.cpu_count() or 1)
            found["study"] = []
            for repeat in range(given.repeats):
                own = our_study(given.study, changes, only, folder / f"results-{repeat}")
                other = their_study(folder, tasks, how, processes, labels.index("scratch"))
                other["wall"] += rendering / processes  # as if all processes rendered
                found["study"].append({"steps": given.steps, "ours": own, "theirs": other})
                _tell(_study_line(found["study"][-1:]))
            indices = {one: labels.index(one) for one in chosen}
            store = found["study"][0]["ours"]["store"]
            measures = agreement.both(whole, store, folder, indices, given.replicates)
            found["agreement"] = agreement.differences(*measures, chosen)
            found["same interval"] = same_interval.compare(
                whole,
                labels,
                {
                    side: [cell for pair in found["study"] for cell in pair[side]["cells"]]
                    for side in same_interval.SIDES
                },
                dict(zip(same_interval.SIDES, measures, strict=True)),
                rendering / given.replicates,
                given.sd,
                processes,
            )
    found["machine"]["after"] = load()
    if given.json:
        print(json.dumps(found))
    else:
        print(*_summary(found), sep="\n")


def _stage_line(row: dict[str, Any]) -> str:
    wall, processor = row["seconds"], row["processor"]
    return (
        f"{row['stage']:<9} ours {1e6 * wall['ours']:8.1f} us, PyTorch {1e6 * wall['theirs']:8.1f} us; ratio "
        f"{wall['ratio']:.2f} [{wall['range'][0]:.2f}, {wall['range'][1]:.2f}]; of the processor's time "
        f"{processor['ratio']:.2f} [{processor['range'][0]:.2f}, {processor['range'][1]:.2f}]"
    )


def _study_line(pairs: Sequence[dict[str, Any]]) -> str:
    ours, theirs = (statistics.median(pair[side]["wall"] for pair in pairs) for side in ("ours", "theirs"))
    ratios = sorted(pair["theirs"]["wall"] / pair["ours"]["wall"] for pair in pairs)
    own, other = (
        statistics.median(sum(seconds for _, seconds in pair[side]["cells"]) for pair in pairs)
        for side in ("ours", "theirs")
    )
    return (
        f"study with {pairs[0]['steps']:.3g} of its steps: ours {ours:.1f} s, PyTorch {theirs:.1f} s; ratio "
        f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]; computing {own:.0f} s, {other:.0f} s"
    )


def _summary(found: dict[str, Any]) -> list[str]:
    machine, mark = found["machine"], found["fingerprint"]
    lines = [
        f"{mark['device']} ({mark['instructions']}), jax {mark['jax']}, torch {found['torch']}; load "
        f"{machine['before']['load']} before, {machine['after']['load']} after, {machine['after']['cores']} cores",
    ]
    lines += [_stage_line(row) for row in found.get("stages", [])]
    lines += [_study_line(found["study"])] if "study" in found else []
    lines += [agreement.difference_line(row) for row in found.get("agreement", [])]
    if found["recipe"] == "plain" and "study" in found:
        lines.append("PyTorch trained by another recipe, so that its AUCs are not meant to be ours")
    compared = found.get("same interval")
    return lines + (same_interval.table(compared, found["study"][0]["steps"]) if compared else [])


def _torch() -> str:
    from importlib.metadata import version

    return version("torch")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
