"""Kills and second writers: what is finished stays, and the end is the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from biasprop.store.store import Store
from tests.store import small

ROOT = Path(__file__).parents[2]


def start(path: Path, first: int, step: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.small", str(path), str(first), str(step)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"NPROC": "1"})


def make(path: Path) -> Store:
    layout = small.layout(("all light", "50/50", "all dark", "scratch"), (50, 200), replicates=5)
    return Store.create_or_grow(path, layout, small.ATTRS)


def test_killed_writers_lose_at_most_the_arm_in_flight(tmp_path: Path) -> None:
    whole, killed = make(tmp_path / "whole"), make(tmp_path / "killed")
    small.fill(whole)
    moment = random.Random(0)
    for _ in range(6):
        process = start(killed.path, 0, 1)
        begun = killed.status().any(-1).sum()
        deadline = time.monotonic() + 20
        while killed.status().any(-1).sum() <= begun and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)  # until it writes, or there is nothing left to write
        time.sleep(moment.uniform(0.0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not killed.verify(repair=False)
    small.work(str(killed.path), 0, 1)
    assert small.files(killed.path).keys() >= small.files(whole.path).keys()
    assert {n: b for n, b in small.files(killed.path).items() if ".partial" not in n} == small.files(whole.path)
    computed = [(str(e["arm"]), e["replicate"]) for e in killed.events() if e["event"] == "arm"]
    assert len(computed) == len(set(computed)) and len(computed) >= 40 - 6


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    store, whole = make(tmp_path / "store"), make(tmp_path / "whole")
    small.fill(whole)
    workers = [start(store.path, first, 2) for first in (0, 1)]
    for worker in workers:
        assert worker.communicate(timeout=60)[0] == "done\n"
    assert (store.status() == 1).all() and store.status().any(-1).sum() == 40
    assert small.files(store.path) == small.files(whole.path)
    events = [event for event in store.events() if event["event"] == "arm"]
    assert len(events) == 40 and {event["pid"] for event in events} == {w.pid for w in workers}


def test_the_cube_needs_no_jax() -> None:
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "from biasprop.store.store import Store; import biasprop.store.encoders\n"
        "assert 'xarray' not in sys.modules\n"
        "from biasprop.store.view import open_cube; from biasprop.store.netcdf import export_netcdf"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
