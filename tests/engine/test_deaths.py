"""Who gets which job, and what becomes of it when workers die: against a cluster that is only told about."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from biasprop.component import InputError, Unfinished
from biasprop.execution import engine, worker

WHO = {**worker.installed(), "device": "cpu", "instructions": "avx2", "threads": "1", "precision": "default"}


class Future:
    """A job somewhere: ``pending``, ``finished``, ``error`` or ``cancelled``."""

    def __init__(self, status: str, what: Any = None):
        self.status, self.what = status, what

    def done(self) -> bool:
        return self.status != "pending"

    def result(self, timeout: float) -> Any:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what

    def exception(self, timeout: float) -> Any:
        return self.what


class Client:
    """Stands for dask's: ``fate`` says what becomes of a job on a worker; deaths take the worker with them."""

    def __init__(self, addresses: list[str], fate: Callable[[str, str], Future | str], restarts: bool = True):
        self.status, self.addresses, self.fate, self.restarts = "running", list(addresses), fate, restarts
        self.told: list[tuple[str, str]] = []
        self.born = len(addresses)
        self.forgotten: list[Future] = []

    def subscribe_topic(self, topic: str, handler: object) -> None:
        pass

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.addresses, 1)

    def run(self, function: object, *given: object, workers: list[str], on_error: str) -> dict[str, Any]:
        sound = {"cpu": True, "jobs": 1, "devices": 1, "card": None, "orders": False, "width": 1, "store": ""}
        return {address: {"identity": WHO, **sound} for address in workers}

    def submit(
        self, function: object, text: str, who: object, topic: str, *, workers: list[str], **how: object
    ) -> Future:
        (address,) = workers
        self.told.append((text, address))
        end = self.fate(text, address)
        if isinstance(end, Future):
            return end
        if end == "dies":
            self.addresses.remove(address)
            if self.restarts:
                self.born += 1
                self.addresses.append(f"w{self.born}")
            return Future("pending")
        self.status = "closed"
        return Future("cancelled")

    def cancel(self, futures: list[Future], force: bool) -> None:
        self.forgotten += futures


class Job(SimpleNamespace):
    """Named by a letter."""

    def __hash__(self) -> int:
        return hash(self.name)

    def text(self) -> str:
        return self.name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "POLL_INTERVAL_S", 0.001)
    monkeypatch.setattr(engine, "NO_WORKER_TIMEOUT_S", 0.02)
    monkeypatch.setattr(engine.WorkerPool, "_rest", lambda self, running: None)


def jobs(names: str) -> list[Any]:
    return [Job(name=name, members=(i,)) for i, name in enumerate(names)]


def crew(client: Client) -> engine.WorkerPool:
    return engine.WorkerPool(client, ("store", "digest", 1.0), lambda event: None, lambda line: None)


def ended(made: engine.WorkerPool, names: str, stored: str = "") -> str:
    return "".join(job.name for job, _ in made.compute(jobs(names), lambda job: job.name not in stored))  # pyright: ignore[reportAttributeAccessIssue]


def finished(text: str, address: str) -> Future:
    return Future("finished", {"seconds": {}})


def test_a_worker_has_one_job_at_a_time_and_all_are_done() -> None:
    client = Client(["w1", "w2"], finished)
    made = crew(client)
    assert ended(made, "abcde") == "abcde" and made.lost == []
    assert [address for _, address in client.told] == ["w1", "w2", "w1", "w2", "w1"]
    assert made.width == 1


def test_a_job_that_kills_goes_last_and_is_given_up_after_three_deaths() -> None:
    client = Client(["w1", "w2"], lambda text, at: "dies" if text == "b" else finished(text, at))
    made = crew(client)
    assert ended(made, "abcde") == "acde"
    assert [(job.name, why) for job, why in made.lost] == [("b", "the process that computed it died 3 times")]  # pyright: ignore[reportAttributeAccessIssue]
    assert [text for text, _ in client.told].count("b") == 3
    assert "".join(text for text, _ in client.told).startswith("abcde")


def test_when_workers_are_not_replaced_the_others_are_done_first() -> None:
    client = Client(["w1", "w2"], lambda text, at: "dies" if text == "a" else finished(text, at), restarts=False)
    done: list[str] = []
    with pytest.raises(Unfinished, match="no worker for"):
        for job, _ in crew(client).compute(jobs("abcde"), lambda job: True):
            done.append(job.name)  # pyright: ignore[reportAttributeAccessIssue]
    assert done == ["b", "c", "d", "e"]


def test_what_the_store_has_is_not_computed_again() -> None:
    """The worker died, or its result was lost, after the arms were stored."""
    client = Client(["w1"], lambda text, at: "dies" if text == "a" else Future("finished", TimeoutError()))
    made = crew(client)
    assert ended(made, "ab", stored="ab") == "" and made.lost == []
    assert [text for text, _ in client.told] == ["a", "b"]


def test_a_job_that_raises_stops_nobody_and_is_raised_at_the_end() -> None:
    client = Client(
        ["w1"], lambda text, at: Future("error", ZeroDivisionError(text)) if text in "ac" else finished(text, at)
    )
    done: list[str] = []
    with pytest.raises(ZeroDivisionError, match="a"):
        for job, _ in crew(client).compute(jobs("abcd"), lambda job: True):
            done.append(job.name)  # pyright: ignore[reportAttributeAccessIssue]
    assert done == ["b", "d"]


def test_another_process_at_an_address_costs_no_try() -> None:
    tries: list[str] = []

    def fate(text: str, address: str) -> Future:
        tries.append(text)
        return Future("error", worker.FingerprintMismatch()) if len(tries) <= 5 else finished(text, address)

    made = crew(Client(["w1"], fate))
    assert ended(made, "a") == "a" and len(tries) == 6 and made.lost == []


def test_the_scheduler_dies() -> None:
    client = Client(["w1", "w2"], lambda text, at: "scheduler" if text == "c" else finished(text, at))
    done: list[str] = []
    with pytest.raises(Unfinished, match="the scheduler is gone"):
        for job, _ in crew(client).compute(jobs("abcde"), lambda job: True):
            done.append(job.name)  # pyright: ignore[reportAttributeAccessIssue]
    assert done[:2] == ["a", "b"]


def test_an_end_before_the_end_forgets_what_runs() -> None:
    client = Client(["w1", "w2"], lambda text, at: Future("pending") if text == "b" else finished(text, at))
    running = crew(client).compute(jobs("ab"), lambda job: True)
    assert next(running)[0].name == "a"  # pyright: ignore[reportAttributeAccessIssue]
    running.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert [future.status for future in client.forgotten] == ["finished", "pending"]


def test_a_late_worker_that_differs_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    client = Client(["w1"], finished)
    made = engine.WorkerPool(client, ("store", "digest", 1.0), lambda event: None, lines.append)
    client.addresses.append("w2")
    monkeypatch.setitem(WHO, "instructions", "avx512")
    assert ended(made, "abc") == "abc"
    assert {address for _, address in client.told} == {"w1"}
    (line,) = lines
    assert line.startswith("worker w2: instructions is avx512") and line.endswith("; this worker is left out")


def test_first_workers_that_cannot_be_used_are_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WHO, "threads", "4")
    with pytest.raises(InputError, match="worker w1, w2: XLA has 4 threads in it; start it with NPROC=1"):
        crew(Client(["w1", "w2"], finished))
