"""Our side of the comparison of stages: answers the same requests as the PyTorch peer, a JSON line each.

``python -m tests.benchmarks.ours STUDY [--set KEY=VALUE]``; ``{"time": "pretrain"}`` is answered with the seconds and
the processor's seconds of one unit, and with how many things a unit is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

NAMES = {"pretrain": "pretraining step", "finetune": "fine-tuning step", "probe": "probe", "evaluate": "evaluation"}
"""How requests call the stages."""


def main() -> None:
    """Answer requests until there are no more."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ours", description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--width", type=int, default=1)
    given = parser.parse_args()
    from biasprop.hardware import environment

    environment.configure()
    import jax

    from biasprop.bench.stages import Workload
    from biasprop.hardware import device
    from biasprop.study.load import load_study

    with device.computing():
        workload = Workload(load_study(given.study, tuple(given.set)), given.width)
        stages = {stage.name: stage for stage in workload.stages()}
        for line in sys.stdin:
            stage = stages[NAMES[json.loads(line)["time"]]]
            began, processor = time.perf_counter(), time.process_time()
            jax.block_until_ready(stage.run())
            answer = {
                "seconds": time.perf_counter() - began,
                "processor": time.process_time() - processor,
                "work": stage.work,
            }
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
