"""Studies with something wrong in them, by the thousand: each one plans, or is refused with file, line and key.

    python -m tests.inputs.fuzz --cases 2000 --commands 50      (a quarter of an hour on two cores)

A case is a shipped study with a few of its keys, levels, lines or bytes changed, or options that change it.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import resource
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from biasprop.component import InputError
from biasprop.encoders import ENCODERS
from biasprop.study import design, plan
from biasprop.study.load import load_study
from tests.inputs.test_command import command

ROOT = Path(__file__).parents[2]
STUDIES = {file.stem: file.read_text() for file in sorted((ROOT / "studies").glob("*.toml"))}
STUDIES["example"] = Path(__file__).with_name("example.toml").read_text()

SECONDS = 20
"""A case that takes longer hangs."""

MEGABYTES = 500
"""A case that makes the process grow by more allocates without bound."""

LINE = re.compile(r"case\.toml:\d+: .+|case\.toml: (nested|too large|cannot).*|--\w+.*: .+", re.S)
"""File, line and key, or the option, and what is wrong."""


@dataclass(frozen=True)
class Case:
    """A study file and options of the command."""

    study: str
    content: bytes
    set: tuple[str, ...] = ()
    scale: str | None = None
    smoke: bool = False
    replicates: int | None = None
    done: tuple[str, ...] = field(default=(), compare=False)
    """What was done to the study, for the message of a failure."""

    def words(self) -> list[str]:
        """The options as the command has them."""
        found = [word for each in self.set for word in ("--set", each)] + ["--smoke"] * self.smoke
        found += ["--scale", self.scale] if self.scale is not None else []
        return found + (["--replicates", str(self.replicates)] if self.replicates is not None else [])


HUGE = (10**9, 2**31, 2**63, 10**30, -(10**9))
ODD_TEXT = (
    "",
    " ",
    "\n",
    "a" * 300,
    "../../etc/passwd",
    "\x1b[2J",
    "${HOME}",
    "$x^2$",
    "\u202eabc",
    "日本",
    "'",
    '"',
    "a.b",
)
KINDS = (*ENCODERS, "scratch", "contrastive", "masked", "full", "linear_probe", "symmetric", "calibrated")
SCALARS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from(HUGE),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from((0.0, 1.0, -1.0, 0.5, 1e-300, 1e300)),
    st.booleans(),
    st.sampled_from((*ODD_TEXT, *KINDS)),
    st.text(max_size=12),
)
KEYS = st.sampled_from(("kind", "a", "light", "steps", "name", "set"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """A value as TOML; tables inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if "e" not in repr(value) or "." in repr(value) else repr(value).replace("e", ".0e")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, int) else json.dumps(str(value)).replace("\x7f", "\\u007f")


def document(table: dict[str, Any]) -> str:
    """A whole study as TOML, one key a line at the top, tables inline."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in table.items())


def places(table: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and array element."""
    pairs = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for part, child in pairs:
        yield (*at, part)
        yield from places(child, (*at, part))


def _owner(table: Any, place: tuple[Any, ...]) -> Any:
    for part in place[:-1]:
        table = table[part]
    return table


def _replace(draw: Callable[..., Any], table: Any, place: tuple[Any, ...]) -> str:
    value = draw(VALUES)
    _owner(table, place)[place[-1]] = value
    return f"{place} = {value!r}"


def _nudge(draw: Callable[..., Any], table: Any, place: tuple[Any, ...]) -> str:
    """A number of the same type that may be nonsense, so that types do not hide it."""
    owner = _owner(table, place)
    old = owner[place[-1]]
    if isinstance(old, bool) or not isinstance(old, int | float):
        return _replace(draw, table, place)
    factors = st.sampled_from((0, -1, 2, 3, 7, 10, 100, 1000, 0.5))
    new = draw(st.one_of(st.integers(0, 40), st.sampled_from(HUGE), factors.map(lambda k: type(old)(old * k))))
    owner[place[-1]] = new if isinstance(old, int) else float(new)
    return f"{place} = {new!r}"


def _delete(draw: Callable[..., Any], table: Any, place: tuple[Any, ...]) -> str:
    del _owner(table, place)[place[-1]]
    return f"del {place}"


def _rename(draw: Callable[..., Any], table: Any, place: tuple[Any, ...]) -> str:
    owner = _owner(table, place)
    if not isinstance(owner, dict):
        owner.append(copy.deepcopy(owner[place[-1]]))
        return f"twice {place}"
    name = draw(st.one_of(st.sampled_from(ODD_TEXT), st.text(max_size=8), st.just(f"{place[-1]}s")))
    owner[name] = owner.pop(place[-1])
    return f"{place} called {name!r}"


def _swap(draw: Callable[..., Any], table: Any, place: tuple[Any, ...]) -> str:
    """The value of another key of the same study: well-typed nonsense."""
    other = draw(st.sampled_from(sorted(places(table), key=str)))
    value = copy.deepcopy(_owner(table, other)[other[-1]])
    _owner(table, place)[place[-1]] = value
    return f"{place} = that of {other}"


@st.composite
def cases(draw: Callable[..., Any]) -> Case:
    """A study with up to four changes."""
    name = draw(st.sampled_from(sorted(STUDIES)))
    text, done = STUDIES[name], list[str]()
    if draw(st.integers(0, 3)):
        table = tomllib.loads(text)
        for _ in range(draw(st.integers(1, 3))):
            place = draw(st.sampled_from(sorted(places(table), key=str) or [("title",)]))
            if place not in set(places(table)):
                continue
            done.append(draw(st.sampled_from((_replace, _nudge, _nudge, _delete, _rename, _swap)))(draw, table, place))
        content = document(table).encode("utf-8", "surrogatepass")
    else:
        lines = text.split("\n")
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(lines) - 1))
            how = draw(st.sampled_from(("drop", "twice", "cut", "garbage", "byte")))
            done.append(f"{how} line {at + 1}")
            line = lines[at]
            if how == "drop":
                lines[at : at + 1] = [""]
            elif how == "twice":
                lines.insert(at, line)
            elif how == "cut":
                lines[at] = line[: draw(st.integers(0, len(line)))]
            elif how == "garbage":
                lines[at] = draw(st.text(max_size=30))
            else:
                where = draw(st.integers(0, len(line)))
                lines[at] = line[:where] + chr(draw(st.integers(0, 255))) + line[where + 1 :]
        encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "latin-1")))
        content = "\n".join(lines).encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")
    if draw(st.integers(0, 3)):
        return Case(name, content, done=tuple(done))
    keys = [".".join(map(str, place)) for place in places(tomllib.loads(text))]
    key = st.one_of(st.sampled_from(keys), st.text(max_size=10))
    assignment = st.builds(lambda k, v: f"{k}={v}", key, st.one_of(VALUES.map(toml), st.text(max_size=10)))
    options: dict[str, Any] = {
        "set": tuple(draw(st.lists(assignment, max_size=2))),
        "scale": draw(st.sampled_from((None, None, "paper", "", "\x00"))),
        "smoke": draw(st.booleans()),
        "replicates": draw(st.sampled_from((None, None, 0, 1, 3, -1, 10**9))),
    }
    return Case(name, content, done=(*done, str(options)), **options)


class Hangs(BaseException):
    """A case took too long."""


@contextmanager
def limited(seconds: float | None = None) -> Iterator[None]:
    """At most so many seconds (by default ``SECONDS``), and at most ``MEGABYTES`` more than before."""

    def late(number: int, frame: object) -> None:
        raise Hangs

    before, handler = _megabytes(), signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS if seconds is None else seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert _megabytes() - before < MEGABYTES, "a huge allocation"


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def planned(case: Case, folder: Path) -> list[str]:
    """Plan a case in this process.

    Returns:
        What is wrong with it; nothing where it plans.
    """
    path = folder / "case.toml"
    path.write_bytes(case.content)
    out = folder / "out"
    with limited():
        try:
            study = load_study(path, case.set, case.scale, case.smoke, case.replicates)
            cells = design.cells(study)
            design.layout(study)
            plan.plan(study, cells, out, 2, resolution=False).lines()
        except InputError as error:
            found = [problem.replace(f"{folder}/", "") for problem in error.problems]
            assert found and len(found) <= 102
            wrong = [problem for problem in found if not _is_told(problem)]
            assert not wrong, f"no file, line and key: {wrong}"
            return found
    assert not out.exists()
    return []


def _is_told(problem: str) -> bool:
    printable = all(c.isprintable() for c in problem) if not problem.startswith("--") else True
    return bool(LINE.fullmatch(problem)) and printable and len(problem) <= 1_100


def run(count: int, start: int, check: Callable[[Case], None]) -> None:
    """Check that many cases; the smallest one that fails is raised."""

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def each(case: Case) -> None:
        check(case)

    each()


def main() -> int:
    """The long form: goes on after a failure; prints counts and every kind of failure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--commands", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    every = max(told.cases // max(told.commands, 1), 1)
    counts: Counter[str] = Counter()
    failures: dict[str, tuple[str, Case]] = {}
    seconds: list[float] = []
    kept: list[tuple[Case, bool]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def check(case: Case) -> None:
            at = time.monotonic()
            try:
                found = planned(case, folder)
            except (Exception, Hangs) as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{type(error).__name__} in {frame.filename}:{frame.lineno}"
                failures.setdefault(kind, (traceback.format_exc(), case))
                counts["failed"] += 1
                return
            seconds.append(time.monotonic() - at)
            counts["refused" if found else "planned"] += 1
            counts["with several problems"] += len(found) > 1
            # No system passes a NUL on to a command.
            if len(seconds) >= every * (len(kept) + 1) and not any("\0" in word for word in case.words()):
                kept.append((case, bool(found)))

        run(told.cases, told.seed, check)
        slow = f"median {sorted(seconds)[len(seconds) // 2]:.2f} s, slowest {max(seconds):.1f} s"
        print(f"in-process: {dict(counts)}, {slow}, {time.monotonic() - began:.0f} s", flush=True)
        codes: Counter[str] = Counter()
        for case, refused in kept[: told.commands]:
            (folder / "case.toml").write_bytes(case.content)
            # A study that is refused is really run; one that is not would compute for an hour.
            done = command(folder, "case.toml", *case.words(), *([] if refused else ["--plan"]), "--out", "out")
            right = done.returncode == (2 if refused else 0) and not (folder / "out").exists()
            if not right or "Traceback" in done.stderr:
                failures[f"command {len(failures)}"] = (str(done), case)
            codes[f"exit {done.returncode}"] += 1
        print(f"through the command: {dict(codes)}, {time.monotonic() - began:.0f} s in all", flush=True)
    for kind, (what, case) in failures.items():
        print(f"--- {kind}\n{what}\n{case.study}, {case.done}, {case.words()}", flush=True)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
