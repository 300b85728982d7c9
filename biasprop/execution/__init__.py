"""Running a study: which process computes which cell, and what happens when a process dies.

:mod:`.sweep` finds what a study's store lacks and turns it into jobs. :mod:`.job` runs one: :mod:`.encoders` loads or
pretrains its encoders, :mod:`.cells` fine-tunes, scores and stores its arms, :mod:`.stage_timer` measures the time.
:mod:`.engine` hands jobs to the workers of a dask cluster, which :mod:`.clusters` connects to or starts;
:mod:`.fitness` decides which workers may compute, and :mod:`.worker` runs in each of them. :mod:`.checkpoint` lets a
killed pretraining continue, :mod:`.interrupt` handles Ctrl-C, :mod:`.progress` shows what happens, :mod:`.provenance`
records versions and commit, :mod:`.verify` recomputes stored arms. README.md has clusters, promises and limits.
"""
