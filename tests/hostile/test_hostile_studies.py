"""Studies of unknown origin, made to do harm: refused at once, and nothing in them steers the terminal."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from biasprop.component import InputError
from biasprop.study import source
from biasprop.study.load import load_study

ROOT = Path(__file__).parents[2]


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_what_a_study_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    text = (ROOT / "tests" / "inputs" / "example.toml").read_text()
    for old, new in (
        ('"Skin tone in pretraining"', '"\\u001b[2J\\u001b]0;owned\\u0007"'),
        ('"all light", set', '"all\\u202elight", set'),
        ("cohort = 20000", '"co\\u001b[31mhort" = 20000'),
        ("cohort = 20000", '"co\\nhort" = 20000'),
    ):
        path = tmp_path / "study.toml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(InputError) as refused:
            load_study(path)
        assert all(line.isprintable() for line in refused.value.problems)


def test_a_study_reads_no_device_and_waits_for_no_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIPE_TIMEOUT_S", 0.05)
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "device.toml").symlink_to("/dev/zero")
    for name, said in (("pipe.toml", "nothing was written to this pipe"), ("device.toml", "not a file")):
        with pytest.raises(InputError, match=said):
            load_study(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        load_study("x" * 5_000)


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 400_000 + " = 1",
        "[a" + ".a" * 400_000 + "]",
        "x = " + "9" * 900_000,
        "x = 0x" + "F" * 900_000,
        "x = [" + "1," * 450_000 + "]",
        'x = "' + '\\"' * 450_000,
        "[factors.f]\nkey = 'a" + ".a" * 400_000 + "'\nlevels = [1]",
        "[[estimands]]\n" * 60_000,
        "[factors.f]\nkey = 'finetuning.labels'\nlevels = [" + "0," * 15_000 + "]",
        "".join(f"[factors.f{i}]\nkey = 'finetuning.labels'\nlevels = [1, 2]\n" for i in range(3_000)),
    ],
    ids=lambda text: text[:20],
)
def test_a_study_that_would_take_for_ever_is_refused_at_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(text)
    before, refused = megabytes(), threading.Event()

    def load() -> None:
        with pytest.raises(InputError) as error:
            load_study(tmp_path / "study.toml")
        assert len(error.value.problems) <= 102 and max(map(len, error.value.problems)) <= 1_100
        refused.set()

    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    loading.join(60)
    assert refused.is_set() and megabytes() - before < 400
