"""Oldest first, one at a time, each settled exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from core.protos import prediction_service_pb2 as serving
from edge.asking.client import ModelServerClient
from edge.asking.probe import HealthProbe
from edge.asking.sender import Sender
from edge.notices import Notices
from edge.queue.examination import Examination
from edge.queue.queue import Queue
from edge.sections import ServerSection
from tests.support.edge_doubles import ModelServer, Network, answer, scored

Capture = Callable[..., Examination]


class Post:
    """A sender with everything it needs."""

    def __init__(self, queue: Queue, address: str) -> None:
        section = ServerSection(addresses=(address,), attempts=1, deadline_s=3.0, backoff_s=0.01)
        self.queue, self.notices, self.stop = queue, Notices(), threading.Event()
        self.client = ModelServerClient(section, "ward-3", stop=self.stop)
        self.sender = Sender(queue, self.client, self.notices, longest_pause_s=0.2, stop=self.stop)
        self.probe = HealthProbe(queue, self.client, self.sender, self.notices, period_s=0.2, stop=self.stop)

    def wait(self, done: Callable[[], bool]) -> None:
        with self.queue.changed:
            assert self.queue.changed.wait_for(done, timeout=20)

    def close(self) -> None:
        self.stop.set()
        if self.sender.thread.ident is not None:
            self.sender.join()
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
    queue._path(first.id).write_bytes(b"rot")
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
    post.probe.look()
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
    found = queue.get(one.id)
    assert found is not None
    assert found.heat_map
    assert queue.heat_map(one.id) == b"\x89PNG\r\n\x1a\n map"


def test_the_status_is_true_before_the_first_patient(
    post: Post, network: Network, model_server: ModelServer
) -> None:
    post.probe.look()
    assert (post.sender.version, post.kinds) == ("1795300000", [])
    network.cut()
    post.probe.look()
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
