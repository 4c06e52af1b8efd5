"""The background worker."""

from __future__ import annotations

import logging
import threading

import pytest

from core.worker import Worker

WAIT_S = 120


class _Counting(Worker):
    def __init__(self, *, period_s: float = 3600, stop: threading.Event | None = None) -> None:
        super().__init__("counting", period_s, stop=stop)
        self.turned = threading.Semaphore(0)
        self.fault: Exception | None = None
        self.pause: float | None = None

    def turn(self) -> float | None:
        self.turned.release()
        if self.fault is not None:
            raise self.fault
        return self.pause

    def waits(self) -> bool:
        return self.turned.acquire(timeout=WAIT_S)


def test_it_turns_at_once_and_again_when_woken() -> None:
    worker = _Counting()
    worker.start()
    assert worker.waits()
    worker.wake()
    assert worker.waits()
    assert worker.alive
    worker.stop()
    assert not worker.alive
    assert worker.stopping


def test_a_turn_says_when_the_next_is_due() -> None:
    worker = _Counting()
    worker.pause = 0.001
    worker.start()
    assert all(worker.waits() for _ in range(3))
    worker.stop()


def test_an_error_is_logged_and_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    worker = _Counting()
    worker.fault = ValueError("broken")
    with caplog.at_level(logging.ERROR):
        worker.start()
        assert worker.waits()
        worker.wake()
        assert worker.waits()
        worker.fault = None
        worker.wake()
        assert worker.waits()
        worker.stop()
    assert "counting failed; it tries again in 3600 s" in caplog.text
    assert "broken" in caplog.text
    assert worker.failures == 0


def test_several_end_with_one_event() -> None:
    stop = threading.Event()
    workers = [_Counting(stop=stop) for _ in range(3)]
    for worker in workers:
        worker.start()
        assert worker.waits()
    stop.set()
    for worker in workers:
        worker.join(WAIT_S)
    assert not any(worker.alive for worker in workers)


def test_one_that_was_never_started_can_be_stopped() -> None:
    _Counting().stop()


def test_a_worker_without_work_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Worker has no work"):
        Worker("idle", 1).turn()


def test_the_work_can_be_a_function() -> None:
    done = threading.Event()
    worker = Worker("function", 3600, lambda: done.set())
    worker.start()
    assert done.wait(WAIT_S)
    worker.stop()
