"""The gRPC client, against real gRPC servers in this process."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.protos import prediction_service_pb2 as protos
from core.protos.prediction_service_pb2_grpc import (
    ModelServiceServicer,
    PredictionServiceServicer,
    add_ModelServiceServicer_to_server,
    add_PredictionServiceServicer_to_server,
)
from core.tfserving.channel import ONCE, ClientError, CredentialsError, Retry, Tls
from core.tfserving.channel import Options as AnyOptions
from core.tfserving.client import AsyncClient, Client, Prediction
from core.tfserving.tensors import InvalidResponseError, fill_proto, predict_request

QUICK = Retry(first_s=0.001)
# Ten seconds are not enough for a machine that is busy with something else.
Options = functools.partial(AnyOptions, timeout_s=120)
Rule = Callable[[Any], None]


class Server(PredictionServiceServicer, ModelServiceServicer):
    """Answers 2 * x; `rule` is asked before each answer."""

    def __init__(self) -> None:
        self.calls = 0
        self.metadata: dict[str, Any] = {}
        self.peers: list[str] = []
        self.rule: Rule = lambda context: None
        self.content: bytes | None = None

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        self.peers.append(context.peer())
        self.rule(context)
        response = protos.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = 3
        fill_proto(response.outputs["y"], [2.0])
        if self.content is not None:
            response.outputs["y"].tensor_content = self.content
        return response

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        response = protos.GetModelStatusResponse()
        for version, state in ((1, protos.ModelVersionStatus.END), (3, protos.ModelVersionStatus.AVAILABLE)):
            response.model_version_status.add(version=version, state=state)
        return response


@pytest.fixture
def serve() -> Iterator[Callable[[], tuple[Server, str]]]:
    running: list[grpc.Server] = []

    def start() -> tuple[Server, str]:
        servicer = Server()
        server = grpc.server(ThreadPoolExecutor(4))
        add_PredictionServiceServicer_to_server(servicer, server)
        add_ModelServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        running.append(server)
        return servicer, f"127.0.0.1:{port}"

    yield start
    for server in running:
        server.stop(None)


def failing(code: grpc.StatusCode, times: int) -> Rule:
    left = [times]

    def rule(context: Any) -> None:
        if left[0]:
            left[0] -= 1
            context.abort(code, "no")

    return rule


Call = Callable[[str, AnyOptions], Any]


def ask(target: str, options: AnyOptions) -> Any:
    with Client(target, options) as client:
        return client.predict("m", {"x": [1.0]})


async def predict(client: AsyncClient, timeout_s: float | None = None) -> Prediction:
    request = predict_request("m", {"x": [1.0]})
    return Prediction.of(await client.predict_raw(request, timeout_s=timeout_s))


def ask_in_a_loop(target: str, options: AnyOptions) -> Any:
    async def run() -> Any:
        client = AsyncClient(target, options)
        try:
            return await predict(client)
        finally:
            await client.close()

    return asyncio.run(run())


both = pytest.mark.parametrize("call", [ask, ask_in_a_loop], ids=["threads", "loop"])


@both
def test_it_predicts_and_sends_the_token(serve: Any, call: Call, tmp_path: Path) -> None:
    servicer, target = serve()
    (tmp_path / "token").write_text("secret\n")
    for token in ("secret", tmp_path / "token"):
        answer = call(target, Options(token=token))
        assert (answer.version, answer.name, answer.outputs["y"].tolist()) == (3, "m", [2.0])
        assert servicer.metadata["authorization"] == "Bearer secret"


@both
@pytest.mark.parametrize(("times", "calls"), [(1, 2), (9, 2)])
def test_unavailable_is_asked_once_again(serve: Any, call: Call, times: int, calls: int) -> None:
    servicer, target = serve()
    servicer.rule = failing(grpc.StatusCode.UNAVAILABLE, times)
    if times == 1:
        assert call(target, Options(retry=QUICK)).version == 3
    else:
        with pytest.raises(ClientError, match="UNAVAILABLE: no"):
            call(target, Options(retry=QUICK))
    assert servicer.calls == calls


@both
def test_other_failures_are_not_asked_again(serve: Any, call: Call) -> None:
    servicer, target = serve()
    for code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.DEADLINE_EXCEEDED):
        servicer.calls, servicer.rule = 0, failing(code, 9)
        with pytest.raises(ClientError) as error:
            call(target, Options(retry=QUICK))
        assert (error.value.code, error.value.target, servicer.calls) == (code, target, 1)


@both
def test_what_a_stopping_server_cancels_is_asked_once_again(serve: Any, call: Call) -> None:
    servicer, target = serve()
    servicer.rule = failing(grpc.StatusCode.CANCELLED, 1)
    assert call(target, Options(retry=QUICK)).version == 3
    assert servicer.calls == 2
    servicer.rule = failing(grpc.StatusCode.CANCELLED, 9)
    with pytest.raises(ClientError, match="UNAVAILABLE: no"):
        call(target, Options(retry=QUICK))


def test_what_close_cancels_is_cancelled(serve: Any) -> None:
    servicer, target = serve()
    entered, leave = threading.Event(), threading.Event()

    def wait(context: Any) -> None:
        entered.set()
        leave.wait(300)

    servicer.rule = wait
    client = Client(target, Options())
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.predict, "m", {"x": [1.0]})
        assert entered.wait(120)
        client.close()
        error = asked.exception(120)
        leave.set()
    assert isinstance(error, ClientError)
    assert (error.code, servicer.calls) == (grpc.StatusCode.CANCELLED, 1)


@both
def test_a_server_that_is_not_there_is_a_plain_error(call: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClientError, match=target) as error:
            call(target, Options(retry=ONCE))
    assert error.value.code is grpc.StatusCode.UNAVAILABLE


@both
def test_files_that_cannot_be_read_are_named(serve: Any, call: Call, tmp_path: Path) -> None:
    _, target = serve()
    for options in (Options(tls=Tls(ca=tmp_path / "none.pem")), Options(token=tmp_path / "none.pem")):
        with pytest.raises(CredentialsError, match=r"none\.pem: cannot be read: No such file"):
            call(target, options)


@both
def test_an_answer_that_makes_no_sense_says_so(serve: Any, call: Call) -> None:
    servicer, target = serve()
    servicer.content = b"123"
    with pytest.raises(InvalidResponseError):
        call(target, Options())


def test_after_a_deadline_the_next_call_opens_a_new_connection(serve: Any) -> None:
    servicer, target = serve()
    release = threading.Event()
    with Client(target, Options()) as client:
        client.predict("m", {"x": [1.0]})
        client.predict("m", {"x": [1.0]})
        assert len(set(servicer.peers)) == 1
        servicer.rule = lambda context: release.wait(300) and None
        with pytest.raises(ClientError, match="DEADLINE_EXCEEDED"):
            client.predict("m", {"x": [1.0]}, timeout_s=0.2)
        release.set()
        client.predict("m", {"x": [1.0]})
        assert len(set(servicer.peers)) == 2


def test_in_a_loop_too_and_other_calls_are_left_to_end(serve: Any) -> None:
    servicer, target = serve()
    release = threading.Event()

    async def run() -> None:
        client = AsyncClient(target, Options())
        await predict(client)
        servicer.rule = lambda context: release.wait(300) and None
        slow = asyncio.create_task(predict(client))
        with pytest.raises(ClientError, match="DEADLINE_EXCEEDED"):
            await predict(client, timeout_s=0.2)
        release.set()
        await predict(client)
        assert (await slow).version == 3
        await client.close()

    asyncio.run(run())
    assert len(set(servicer.peers)) == 2


def test_status_is_newest_first(serve: Any) -> None:
    _, target = serve()
    with Client(target, Options()) as client:
        assert [(one.version, one.state) for one in client.status("m")] == [(3, "AVAILABLE"), (1, "END")]


def test_back_off_is_jittered_and_bounded() -> None:
    retry = Retry(first_s=0.1, factor=2, max_s=0.5)
    pauses = [retry.pause_s(attempt) for attempt in range(8) for _ in range(50)]
    assert max(pauses) <= 0.5
    assert len(set(pauses)) > 300


def test_no_proxy_is_asked(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, target = serve()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert ask(target, Options(retry=ONCE)).version == 3
