"""A clock that cannot be right is not believed, across restarts too."""

from __future__ import annotations

from collections.abc import Callable

from edge.queue.queue import Queue
from edge.reporting.clock import WRITTEN, Clock


def test_a_clock_from_before_the_program(queue: Queue) -> None:
    assert "before this program was written" in Clock(queue, now=lambda: 0.0).trouble()


def test_a_clock_that_went_back_is_noticed_after_a_restart(open_queue: Callable[..., Queue]) -> None:
    queue = open_queue()
    clock = Clock(queue, now=lambda: WRITTEN + 90_000)
    assert clock.trouble() == ""
    clock.note()
    queue.close()
    again = open_queue()
    assert "already" in Clock(again, now=lambda: WRITTEN + 10).trouble()
    assert Clock(again, now=lambda: WRITTEN + 90_060).trouble() == ""


def test_a_second_witness_corrects_a_clock_that_was_ahead(queue: Queue) -> None:
    now = [WRITTEN + 10**8]
    clock = Clock(queue, now=lambda: now[0])
    assert clock.trouble() == ""
    clock.note()
    now[0] = WRITTEN + 1000
    assert clock.trouble() != ""
    clock.compare(WRITTEN + 1000)
    assert clock.trouble() == ""


def test_a_clock_that_jumps_ahead_is_no_longer_witnessed(queue: Queue) -> None:
    now, running = [WRITTEN + 1000.0], [50.0]
    clock = Clock(queue, now=lambda: now[0], running=lambda: running[0])
    assert not clock.witnessed
    clock.compare(WRITTEN + 1000)
    assert clock.witnessed
    now[0] += 86_400
    running[0] += 86_400
    assert clock.witnessed  # a day passed
    now[0] += 40 * 86_400
    assert not clock.witnessed  # nobody waited so long
    clock.compare(WRITTEN + 1000 + 86_400)
    assert not clock.witnessed
    now[0] -= 40 * 86_400
    clock.compare(WRITTEN + 1000 + 86_400)
    assert clock.witnessed
