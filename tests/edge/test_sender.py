"""Oldest first, one at a time, each settled exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from core.protos import prediction_service_pb2 as serving
from core.worker import Worker
from edge.asking.client import ModelServerClient
from edge.asking.sender import HeatMapFetcher, Sender
from edge.asking.status import RULES
from edge.config import ServerSection
from edge.notices import Notices
from edge.queue.examination import Examination
from edge.queue.queue import Queue
from tests.support.edge_doubles import ModelServer, Network, answer, scored

Capture = Callable[..., Examination]


class Post:
    """A sender with everything it needs."""

    def __init__(self, queue: Queue, address: str) -> None:
        section = ServerSection(addresses=(address,), attempts=1, deadline_s=60.0, backoff_s=0.01)
        self.queue, self.notices, self.stop = queue, Notices(), threading.Event()
        self.client = ModelServerClient(section, "ward-3", stop=self.stop)
        self.sender = Sender(queue, self.client, self.notices, longest_pause_s=0.2, stop=self.stop)
        self.heat_maps = HeatMapFetcher(queue, self.client, stop=self.stop)
        self.sender.answered = self.heat_maps.owe
        self.probe = Worker("probe", 0.2, self.sender.probe, stop=self.stop)

    def wait(self, done: Callable[[], bool]) -> None:
        with self.queue.changed:
            assert self.queue.changed.wait_for(done, timeout=120)

    def close(self) -> None:
        self.stop.set()
        for worker in (self.sender, self.heat_maps):
            worker.join()
        self.client.close()

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices.all()]


@pytest.fixture
def post(queue: Queue, network: Network) -> Iterator[Post]:
    made = Post(queue, network.address)
    yield made
    made.close()


def test_what_waited_offline_is_sent_in_order(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer, network: Network
) -> None:
    network.cut()
    taken = [take() for _ in range(8)]
    post.sender.start()
    post.wait(lambda: (queue.get(taken[0].id) or taken[0]).tries > 0)
    assert post.kinds == ["server_unreachable"]
    assert queue.counts()["waiting"] == 8
    network.mend()
    post.sender.wake()
    post.wait(lambda: queue.counts()["answered"] == 8)
    assert model_server.ids() == [one.id for one in taken]
    assert post.kinds == []
    assert post.sender.version == "1795300000"


def test_a_refused_picture_does_not_block_the_next(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer
) -> None:
    first, second = take(), take()

    def reply(jpeg: bytes, context: grpc.ServicerContext) -> serving.PredictResponse:
        if len(model_server.deliveries) == 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "image 0 is no JPEG")
        return scored(jpeg, context)

    model_server.reply = reply
    post.sender.start()
    post.wait(lambda: queue.counts()["waiting"] == 0)
    refused, answered = queue.get(first.id), queue.get(second.id)
    assert refused is not None
    assert answered is not None
    assert (refused.state, answered.state) == ("refused", "answered")
    assert "image 0 is no JPEG" in refused.trouble
    queue.ask_again(first.id)
    post.sender.wake()
    post.wait(lambda: queue.counts()["answered"] == 2)


def test_a_damaged_picture_is_set_aside(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer
) -> None:
    first, second = take(), take()
    queue.pictures.path(first.id).write_bytes(b"rot")
    post.sender.start()
    post.wait(lambda: queue.counts()["waiting"] == 0)
    assert post.kinds == ["picture_damaged"]
    assert model_server.ids() == [second.id]
    found = queue.get(first.id)
    assert found is not None
    assert found.state == "damaged"


def test_garbage_is_kept_waiting_until_it_makes_sense(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer
) -> None:
    one = take()
    model_server.reply = lambda _jpeg, _context: serving.PredictResponse()
    assert post.sender.send(one) is False
    assert post.kinds == ["server_garbage"]
    found = queue.get(one.id)
    assert found is not None
    assert found.answer is None
    assert "no probability" in found.trouble
    # A server that looks healthy does not take that notice down: only a sound answer does.
    post.probe.turn()
    assert post.kinds == ["server_garbage"]
    model_server.reply = lambda _jpeg, _context: answer(0.5)
    assert post.sender.send(one) is True
    assert post.kinds == []


def test_the_heat_map_is_kept_beside_the_picture(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer
) -> None:
    model_server.explain = b"\x89PNG\r\n\x1a\n map"
    one = take()
    assert post.sender.send(one)
    post.heat_maps.turn()
    found = queue.get(one.id)
    assert found is not None
    assert found.heat_map
    assert queue.pictures.read_heat_map(one.id) == b"\x89PNG\r\n\x1a\n map"


def test_the_status_is_true_before_the_first_patient(
    post: Post, network: Network, model_server: ModelServer
) -> None:
    post.probe.turn()
    assert (post.sender.version, post.kinds) == ("1795300000", [])
    network.cut()
    post.probe.turn()
    assert post.kinds == ["server_unreachable"]


def test_a_full_disk_while_noting_an_answer_loses_nothing(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = take()
    settle = queue.settle
    tried = threading.Event()

    def full(*arguments: Any, **named: Any) -> None:
        if tried.is_set():
            settle(*arguments, **named)
            return
        tried.set()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue, "settle", full)
    post.sender.start()
    post.wait(lambda: queue.counts()["answered"] == 1)
    assert model_server.ids() == [one.id]
    assert len(model_server.deliveries) == 2
    assert "storage_full" not in post.kinds


def failing(code: grpc.StatusCode, poison: bytes) -> Callable[..., Any]:
    """A server that fails on one picture and answers the others."""

    def reply(jpeg: bytes, context: grpc.ServicerContext) -> serving.PredictResponse:
        if jpeg == poison:
            context.abort(code, "poisoned")
        return scored(jpeg, context)

    return reply


POISON = [code for code, rule in RULES.items() if rule.strikes and code is not grpc.StatusCode.UNAVAILABLE]


@pytest.mark.parametrize("code", POISON, ids=lambda code: code.name)
def test_a_poisoned_photograph_does_not_hold_up_the_others(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer, code: grpc.StatusCode
) -> None:
    bad, good = take(), take(jpeg=b"another picture")
    model_server.reply = failing(code, queue.picture(bad.id))
    post.sender.start()
    post.wait(lambda: queue.counts()["answered"] == 1)
    found = queue.get(bad.id)
    assert found is not None
    assert (found.state, found.set_aside) == ("waiting", True)
    assert code.name in found.trouble
    assert model_server.ids() == [bad.id, good.id]
    assert post.kinds == ["picture_fails"]
    assert queue.next_unreported() is not None  # nor does the gateway wait behind it
    # The nurse asks again, in vain, and leaves it.
    before = len(model_server.deliveries)
    post.sender.ask_again(bad.id)
    with model_server.arrived:
        assert model_server.arrived.wait_for(lambda: len(model_server.deliveries) > before, timeout=120)
    post.wait(lambda: queue.counts()["set_aside"] == 1)
    assert "server_fails" not in post.kinds
    post.sender.leave(bad.id)
    left = queue.get(bad.id)
    assert left is not None
    assert (left.state, left.set_aside) == ("refused", False)
    assert "poisoned" in left.trouble
    assert post.kinds == []


def test_a_photograph_that_is_left_while_another_thread_looks_leaves_no_notice(
    post: Post, queue: Queue, take: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = take()
    queue.set_aside(one.id, "poisoned")
    look, looked, left = queue.all_set_aside, threading.Event(), threading.Event()

    def slowly() -> list[Examination]:
        found = look()
        if found:
            looked.set()
            left.wait(0.5)  # whoever leaves it meanwhile has to wait for this one
        return found

    monkeypatch.setattr(queue, "all_set_aside", slowly)
    looking = threading.Thread(target=post.sender.turn)
    looking.start()
    assert looked.wait(120)
    post.sender.leave(one.id)
    left.set()
    looking.join()
    assert post.kinds == []


def test_no_server_makes_no_photograph_a_suspect(
    post: Post, queue: Queue, take: Capture, network: Network, model_server: ModelServer
) -> None:
    one = take()
    network.cut()
    for _ in range(max(rule.strikes for rule in RULES.values()) + 2):
        assert post.sender.send(one) is False
    model_server.unhealthy = True
    network.mend()
    model_server.reply = failing(grpc.StatusCode.INTERNAL, queue.picture(one.id))
    limit = time.monotonic() + 120
    # Until the connection is back, and the server failed more often than would have been enough.
    while post.kinds != ["server_fails"] or len(model_server.deliveries) <= 5:
        assert time.monotonic() < limit, post.kinds
        assert post.sender.send(one) is False
    assert queue.counts()["set_aside"] == 0


def test_what_was_set_aside_is_tried_again_by_itself_ever_more_seldom(
    queue: Queue, take: Capture, model_server: ModelServer
) -> None:
    now = [1000.0]
    section = ServerSection(addresses=(model_server.address,), attempts=1, deadline_s=60.0)
    client, notices = ModelServerClient(section, "ward-3"), Notices()
    sender = Sender(queue, client, notices, longest_pause_s=0.2, stop=threading.Event(), clock=lambda: now[0])
    one = take()
    model_server.reply = failing(grpc.StatusCode.INTERNAL, queue.picture(one.id))

    def turns(count: int) -> None:
        for _ in range(count):
            sender.turn()

    turns(4)
    assert (queue.counts()["set_aside"], len(model_server.deliveries)) == (1, 3)
    now[0] += 601
    turns(5)
    assert (queue.counts()["set_aside"], len(model_server.deliveries)) == (1, 6)
    now[0] += 601
    turns(3)
    assert len(model_server.deliveries) == 6
    now[0] += 1801
    model_server.reply = scored
    turns(3)
    assert queue.counts()["answered"] == 1
    assert notices.all() == []
    client.close()


def test_heat_maps_never_hold_up_an_answer_and_are_asked_for_again(
    post: Post, queue: Queue, take: Capture, model_server: ModelServer
) -> None:
    model_server.explain = b"\x89PNG\r\n\x1a\n map"
    model_server.explain_fails = (grpc.StatusCode.DEADLINE_EXCEEDED, "cold")
    first = take()
    assert post.sender.send(first)
    second = take()
    post.heat_maps.turn()
    assert model_server.explanations == []  # a photograph waits: its answer comes first
    assert post.sender.send(second)
    post.heat_maps.turn()
    assert model_server.explanations == [second.id]
    model_server.explain_fails = None
    post.heat_maps.turn()
    post.heat_maps.turn()
    assert [queue.get(one.id).heat_map for one in (first, second)] == [True, True]  # type: ignore[union-attr]
