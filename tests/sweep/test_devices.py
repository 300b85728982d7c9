"""Several devices share a batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.store.store import Store
from biasprop.store.view import open_cube

STUDY = Path(__file__).parents[1] / "torture" / "small.toml"
COMPUTE = """
import sys
from pathlib import Path
import jax
from biasprop.execution import progress, sweep
from biasprop.study.load import load_study
study, out, devices, width = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
assert jax.local_device_count() == devices
study = load_study(study)
sweep.run(study, study.store(out), only={"labels": [16]}, workers=0, width=width, progress=progress.make(quiet=True))
print(study.store(out))
"""


def compute(out: Path, devices: int, width: int) -> Store:
    """The study by a process that sees so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    line = [sys.executable, "-c", COMPUTE, str(STUDY), str(out), str(devices), str(width)]
    # XLA has at least a thread for each device of a CPU, and the number of threads decides how it splits a sum.
    own = os.environ | {"XLA_FLAGS": flags, "NPROC": "2"}
    done = subprocess.run(line, env=own, check=True, capture_output=True, text=True)
    return Store.open(done.stdout.strip(), writable=False)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2])
def test_two_devices_share_a_batch_and_give_what_one_gives(tmp_path: Path, width: int) -> None:
    """Bit for bit with a cell each, but for the fit of a probe, of which XLA leaves out a repeated product once a
    program is shared; up to the rounding of a training run with several, whose sums it joins otherwise."""
    one, two = (compute(tmp_path / str(devices), devices, width) for devices in (1, 2))
    for devices, store in enumerate((one, two), start=1):
        sizes = {len(event["cells"]) for event in store.events() if event["event"] == "cells"}
        assert sizes == {devices * width}, "each computes as many as one alone"
        marks = [store.fingerprint(int(n)) for n in np.unique(open_cube(store.path).fingerprint) if n]
        assert [(mark["width"], mark.get("devices", 1)) for mark in marks if mark] == [(width, devices)]
    alone, shared = (open_cube(store.path).sel(labels=16).load() for store in (one, two))
    assert (alone.status == shared.status).all()
    for name in ("score", "selection_score", "calibration_score", "separability_score", "pretext_loss"):
        xr.testing.assert_allclose(alone[name], shared[name], atol=1e-4 if width == 1 else 0.05)
        exact = [cube[name].sel(protocol="full").values.tobytes() for cube in (alone, shared)]
        assert width > 1 or exact[0] == exact[1], name
