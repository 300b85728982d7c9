"""The fingerprint has the threads of the backend, not a setting that came too late."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.source_tree import ROOT

CODE = """
import os, jax
if {early}: jax.devices()
os.environ["NPROC"] = "1"
from biasprop.hardware import device
first = device.fingerprint(1)["threads"]
os.environ["NPROC"] = "7"
print(first, device.fingerprint(1)["threads"])
"""


@pytest.mark.parametrize("early, threads", [(False, "1"), (True, "3")])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists threads by name")
def test_threads_are_those_xla_has(early: bool, threads: str) -> None:
    environment = os.environ | {"NPROC": "3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(early=early)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [threads, threads], done.stderr
