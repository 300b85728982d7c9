"""Workers on this machine: settings that the user or the site has made for others do not reach them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import dask
import distributed  # noqa: F401  # its defaults are there before settings are made, or would go with them
import pytest

from biasprop.component import InputError
from biasprop.execution import clusters
from tests.source_tree import ROOT

SITE = {
    "distributed.comm.require-encryption": True,
    "distributed.comm.tls.ca-file": "/no/such/file",
    "distributed.scheduler.preload": ["no_such_module"],
    "distributed.scheduler.idle-timeout": "1 ms",
    "distributed.nanny.preload": ["no_such_module"],
    "distributed.nanny.environ": {"OF_THE_SITE": "1"},
    "distributed.worker.preload": ["no_such_module"],
    "distributed.worker.lifetime.duration": "1 ms",
    "distributed.worker.resources": {"GPU": 1},
    "distributed.client.preload": ["no_such_module"],
    "distributed.client.security-loader": "no_such_module.load",
    "temporary-directory": "/dev/null/scratch",
}
"""Settings for clusters of the site; with most of them, one on this machine would not start, or end early."""

SCRIPT = """
from biasprop.execution import clusters
with clusters.local_cluster(1) as client:
    print("workers:", len(client.nthreads()))
"""


def test_workers_start_from_settings_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is set in a file or the environment, and although the port of a dashboard is taken."""
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", "no_such_module")
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
    settings: Any = dask.config  # pyright: ignore[reportPrivateImportUsage]
    with warnings.catch_warnings(), socket.socket() as taken, settings.set(SITE):
        warnings.simplefilter("error")
        with suppress(OSError):  # then another process has it
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        with clusters.local_cluster(1) as client:
            (found,) = client.run(
                eval,
                """dict(
                    preload=__import__("dask").config.get("distributed.worker.preload"),
                    profile=__import__("dask").config.get("distributed.worker.profile.enabled"),
                    site=__import__("os").environ.get("OF_THE_SITE"),
                    devices=__import__("jax").local_device_count(),
                    main=hasattr(__import__("__main__"), "__file__"),
                )""",
            ).values()
        assert settings.get("distributed.worker.preload") == ["no_such_module"], "the user's settings are as before"
    assert found == {"preload": [], "profile": False, "site": None, "devices": 1, "main": False}


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words, environment = [sys.executable, str(script)], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("workers: 1\n", "")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("distributed.nanny.get_mp_context", OSError(28, "No space left on device")),  # for semaphores, in /dev/shm
        ("multiprocessing.popen_spawn_posix.Popen._launch", BlockingIOError(11, "Resource temporarily unavailable")),
        ("distributed.deploy.spec.SpecCluster._start", OSError(24, "Too many open files")),
        ("multiprocessing.resource_tracker.ensure_running", RuntimeError("can't start new thread")),
    ],
)
def test_processes_that_cannot_be_started_are_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], place: str, error: Exception
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(place, fail)
    with pytest.raises(clusters.CannotStart) as said, clusters.local_cluster(1):
        pass
    assert str(said.value) == f"worker processes cannot be started ({error})"
    assert capfd.readouterr().err == ""


def test_a_malformed_file_of_settings_is_named(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("distributed: [1\n")
    words = [sys.executable, "-c", "from biasprop.execution import clusters; clusters.local_cluster(1).__enter__()"]
    done = subprocess.run(words, env=os.environ | {"DASK_CONFIG": str(tmp_path)}, capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"{InputError.__module__}.InputError: dask cannot be imported")
    assert str(tmp_path / "site.yaml") in said and "line 1" in said
