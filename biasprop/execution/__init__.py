"""Running a study: who computes which cell, and what happens when something dies.

:mod:`.sweep` finds what a study's store lacks and turns it into jobs, :mod:`.job` computes one and stores its arms,
:mod:`.engine` gives jobs to the workers of a dask cluster and :mod:`.worker` is what runs in each of them.
:mod:`.checkpoint` keeps long pretrainings from starting over, :mod:`.interrupt` makes Ctrl-C safe, :mod:`.progress`
shows what goes on, :mod:`.provenance` notes versions and commit, :mod:`.verify` computes stored arms again.
"""
