"""Preloaded by workers: the process that computes the cell named here dies, each time, like one out of memory."""

import os

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
