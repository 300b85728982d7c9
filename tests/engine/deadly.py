"""Preloaded by workers: the process that computes the cell named here dies, each time, like one out of memory.

``python -m tests.engine.deadly`` is the command ``biasprop.run`` with such workers.
"""

import os
import sys

DEADLY = 2
"""Position of the cell in the study's list."""


def dask_setup(worker: object) -> None:
    """Called by dask when the worker starts."""
    from biasprop.execution import job

    run = job.run

    def deadly(text, tell):
        if DEADLY in job.Job.of(text).members:
            os._exit(9)
        return run(text, tell)

    job.run = deadly


if __name__ == "__main__":
    from biasprop.execution import clusters
    from biasprop.run import main

    clusters.LOCAL_SETTINGS["distributed.worker.preload"] = [__file__]
    sys.exit(main())
