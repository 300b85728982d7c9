"""Which worker gets which job, and what happens to it when workers die: against a fake dask client."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from biasprop.component import InputError, Unfinished
from biasprop.execution import engine, fitness, worker

IDENTITY = {**fitness.installed(), "device": "cpu", "instructions": "avx2", "threads": "1", "precision": "default"}


class Future:
    """State of a job: ``pending``, ``finished``, ``error`` or ``cancelled``."""

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
    """Stands in for dask's: ``fate`` says how a job ends on a worker; where it "dies", the worker is gone as well."""

    def __init__(self, addresses: list[str], fate: Callable[[str, str], Future | str], restarts: bool = True):
        self.status, self.addresses, self.fate, self.restarts = "running", list(addresses), fate, restarts
        self.submitted: list[tuple[str, str]] = []
        self.born = len(addresses)
        self.cancelled: list[Future] = []

    def subscribe_topic(self, topic: str, handler: object) -> None:
        pass

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.addresses, 1)

    def run(self, function: object, *given: object, workers: list[str], on_error: str) -> dict[str, Any]:
        sound = {"cpu": True, "jobs": 1, "devices": 1, "gpu": None, "deterministic": False, "width": 1, "store": ""}
        return {address: {"identity": IDENTITY, **sound} for address in workers}

    def submit(
        self, function: object, text: str, identity: object, topic: str, *, workers: list[str], **how: object
    ) -> Future:
        (address,) = workers
        self.submitted.append((text, address))
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
        self.cancelled += futures


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
    monkeypatch.setattr(engine.WorkerPool, "_wait", lambda self, futures: None)


def jobs(names: str) -> list[Any]:
    return [Job(name=name, members=(i,)) for i, name in enumerate(names)]


def pool_of(client: Client) -> engine.WorkerPool:
    return engine.WorkerPool(client, ("store", "digest", 1.0), lambda event: None, lambda line: None)


def ended(pool: engine.WorkerPool, names: str, stored: str = "") -> str:
    return "".join(job.name for job, _ in pool.compute(jobs(names), lambda job: job.name not in stored))  # pyright: ignore[reportAttributeAccessIssue]


def finished(text: str, address: str) -> Future:
    return Future("finished", {"seconds": {}})


def test_a_worker_has_one_job_at_a_time_and_all_are_done() -> None:
    client = Client(["w1", "w2"], finished)
    pool = pool_of(client)
    assert ended(pool, "abcde") == "abcde" and pool.given_up == []
    assert [address for _, address in client.submitted] == ["w1", "w2", "w1", "w2", "w1"]
    assert pool.width == 1


def test_a_job_that_kills_its_worker_goes_last_and_is_given_up_after_three_deaths() -> None:
    client = Client(["w1", "w2"], lambda text, at: "dies" if text == "b" else finished(text, at))
    pool = pool_of(client)
    assert ended(pool, "abcde") == "acde"
    assert [(job.name, why) for job, why in pool.given_up] == [("b", "its worker process died 3 times")]  # pyright: ignore[reportAttributeAccessIssue]
    assert [text for text, _ in client.submitted].count("b") == 3
    assert "".join(text for text, _ in client.submitted).startswith("abcde")


def test_when_workers_are_not_replaced_the_others_are_done_first() -> None:
    client = Client(["w1", "w2"], lambda text, at: "dies" if text == "a" else finished(text, at), restarts=False)
    done: list[str] = []
    with pytest.raises(Unfinished, match="there was no worker for"):
        for job, _ in pool_of(client).compute(jobs("abcde"), lambda job: True):
            done.append(job.name)  # pyright: ignore[reportAttributeAccessIssue]
    assert done == ["b", "c", "d", "e"]


def test_what_is_stored_is_not_computed_again() -> None:
    """The worker died, or its result was lost, after the arms were stored."""
    client = Client(["w1"], lambda text, at: "dies" if text == "a" else Future("finished", TimeoutError()))
    pool = pool_of(client)
    assert ended(pool, "ab", stored="ab") == "" and pool.given_up == []
    assert [text for text, _ in client.submitted] == ["a", "b"]


def test_a_job_that_raises_does_not_stop_the_others_and_is_raised_at_the_end() -> None:
    client = Client(
        ["w1"], lambda text, at: Future("error", ZeroDivisionError(text)) if text in "ac" else finished(text, at)
    )
    done: list[str] = []
    with pytest.raises(ZeroDivisionError, match="a"):
        for job, _ in pool_of(client).compute(jobs("abcd"), lambda job: True):
            done.append(job.name)  # pyright: ignore[reportAttributeAccessIssue]
    assert done == ["b", "d"]


def test_another_process_at_the_same_address_costs_no_try() -> None:
    tries: list[str] = []

    def fate(text: str, address: str) -> Future:
        tries.append(text)
        return Future("error", worker.FingerprintMismatch()) if len(tries) <= 5 else finished(text, address)

    pool = pool_of(Client(["w1"], fate))
    assert ended(pool, "a") == "a" and len(tries) == 6 and pool.given_up == []


def test_the_scheduler_dies() -> None:
    client = Client(["w1", "w2"], lambda text, at: "scheduler" if text == "c" else finished(text, at))
    done: list[str] = []
    with pytest.raises(Unfinished, match="the connection to the scheduler is lost"):
        for job, _ in pool_of(client).compute(jobs("abcde"), lambda job: True):
            done.append(job.name)  # pyright: ignore[reportAttributeAccessIssue]
    assert done[:2] == ["a", "b"]


def test_an_early_end_cancels_what_runs() -> None:
    client = Client(["w1", "w2"], lambda text, at: Future("pending") if text == "b" else finished(text, at))
    running = pool_of(client).compute(jobs("ab"), lambda job: True)
    assert next(running)[0].name == "a"  # pyright: ignore[reportAttributeAccessIssue]
    running.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert [future.status for future in client.cancelled] == ["finished", "pending"]


def test_a_late_worker_that_differs_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    client = Client(["w1"], finished)
    pool = engine.WorkerPool(client, ("store", "digest", 1.0), lambda event: None, lines.append)
    client.addresses.append("w2")
    monkeypatch.setitem(IDENTITY, "instructions", "avx512")
    assert ended(pool, "abc") == "abc"
    assert {address for _, address in client.submitted} == {"w1"}
    (line,) = lines
    assert line.startswith("worker w2: instructions is avx512") and line.endswith(" (this worker is left out)")


def test_first_workers_that_cannot_be_used_are_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IDENTITY, "threads", "4")
    with pytest.raises(InputError, match="worker w1, w2: XLA has 4 threads in it; start it with NPROC=1"):
        pool_of(Client(["w1", "w2"], finished))


def test_a_worker_without_the_package_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    client = Client(["w1"], finished)
    pool = engine.WorkerPool(client, ("store", "digest", 1.0), lambda event: None, lines.append)
    client.addresses.append("w2")

    def broken(*given: object, **how: object) -> None:
        raise ModuleNotFoundError("No module named 'biasprop'")

    monkeypatch.setattr(client, "run", broken)
    assert ended(pool, "abc") == "abc" and {address for _, address in client.submitted} == {"w1"}
    assert lines == [
        "worker w2: biasprop is not installed there; install the same version as here (this worker is left out)"
    ]
