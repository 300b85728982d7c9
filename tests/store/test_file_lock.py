"""A file lock is held by one process, and free again when its holder dies, however."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from biasprop.store.file_lock import locked

HOLD = """
import sys, time
from pathlib import Path
from biasprop.store.file_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with locked(place, wait=False) as held:
        assert not held
    assert f"process {holder.pid} of " in place.read_text(), "people want to know who"
    holder.send_signal(signal.SIGKILL)
    with locked(place) as held:  # waits for the death
        assert held
        with locked(place, wait=False) as again:
            assert not again
    holder.communicate()
    with locked(place, wait=False) as held:
        assert held


def test_where_there_are_no_locks_every_lock_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuses)
    with locked(tmp_path / "lock") as one, locked(tmp_path / "lock", wait=False) as other:
        assert one and other


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), locked(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
