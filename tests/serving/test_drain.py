"""SIGTERM: unready at once, what was begun is finished, a second signal stops at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import threading
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from core.tfserving.channel import ONCE, ClientError, Options
from core.tfserving.client import Client
from tests.support.server_process import PATIENCE_S, ServerProcess, until


def slow(server, rounds, answers):
    try:
        response = server.predict(
            "m", {"x": [7.0], "rounds": np.array([rounds], np.int32)}, timeout=PATIENCE_S
        )
        answers.append(response.outputs["y"].float_val[0])
    except grpc.RpcError as error:
        answers.append(error.code())


def started(server):
    """Wait until a request is in flight."""
    until(lambda: server.metrics()["melanosizer_serving_inflight_requests{}"] >= 1)


def start(pick, tmp_path, *flags):
    file = tmp_path / "monitoring.config"
    file.write_text("prometheus_config { enable: true }")
    return ServerProcess(
        tmp_path / "server",
        f"--model_base_path={pick('slow', 1)}",
        "--model_name=m",
        f"--monitoring_config_file={file}",
        "--enable_grpc_healthcheck_service",
        *flags,
    )


def test_requests_under_way_finish_and_readiness_turns_false(pick, tmp_path):
    with start(pick, tmp_path, "--drain_delay_seconds=1") as server:
        answers: list[object] = []
        thread = threading.Thread(target=slow, args=(server, 30_000, answers))
        thread.start()
        started(server)
        server.process.send_signal(signal.SIGTERM)
        while (answer := server.http("GET", "/readyz")[:2])[0] == 200:
            threading.Event().wait(0.005)
        assert answer == (503, "not ready: shutting down\n")
        thread.join()
        assert answers == [7.0]
        assert server.process.wait(PATIENCE_S) == 0
        assert "Drained" in server.log()


def test_a_second_signal_stops_at_once(pick, tmp_path):
    with start(pick, tmp_path) as server:
        answers: list[object] = []
        thread = threading.Thread(target=slow, args=(server, 50_000_000, answers))
        thread.start()
        started(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "Draining" in server.log())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        thread.join()
        assert answers == [grpc.StatusCode.UNAVAILABLE]


def test_an_expired_request_is_not_run(pick, tmp_path, refused):
    with start(pick, tmp_path, "--max_concurrent_runs=1") as server:
        answers: list[object] = []
        thread = threading.Thread(target=slow, args=(server, 30_000, answers))
        thread.start()
        started(server)
        with refused() as it:
            server.predict("m", {"x": [1.0], "rounds": np.array([1], np.int32)}, timeout=0.05)
        assert it.code is grpc.StatusCode.DEADLINE_EXCEEDED
        thread.join()
        assert answers == [7.0]
        runs = ':tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"}'
        assert server.metrics()[runs] == 1


@pytest.mark.parametrize(
    "sign",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_open_streams_do_not_hold_a_stop_up(pick, tmp_path, sign):
    with start(pick, tmp_path, "--drain_seconds=300") as server:
        watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        asking = threading.Event()

        def questions():
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            asking.wait(300)

        stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
        reflection = stub.ServerReflectionInfo(questions())
        next(reflection)
        answers: list[object] = []
        thread = threading.Thread(target=slow, args=(server, 30_000, answers))
        thread.start()
        started(server)
        server.process.send_signal(sign)
        thread.join()
        answered = time.monotonic()
        assert server.process.wait(PATIENCE_S) == 0
        # The streams alone would have lasted the whole of --drain_seconds.
        assert time.monotonic() - answered < 200
        assert answers == [7.0]
        assert [one.status for one in _rest(watch)] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        asking.set()


def _rest(stream):
    with contextlib.suppress(grpc.RpcError):  # the server ends it
        yield from stream


def test_new_work_is_refused_at_once(pick, tmp_path):
    with start(pick, tmp_path, "--drain_seconds=300") as server:
        answers: list[object] = []
        thread = threading.Thread(target=slow, args=(server, 30_000, answers))
        thread.start()
        started(server)
        # Two connections that are open before the signal: one idle, one that is used again after it.
        kept = http.client.HTTPConnection("127.0.0.1", server.ports["rest"], timeout=PATIENCE_S)
        kept.request("GET", "/readyz")
        assert kept.getresponse().read() == b"ready\n"
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "Draining" in server.log())
        status = 200
        while status == 200:
            kept.request("POST", "/v1/models/m:predict", json.dumps({"inputs": {"x": [1.0], "rounds": [1]}}))
            response = kept.getresponse()
            status, text = response.status, response.read()
        assert (status, json.loads(text)) == (503, {"error": "The server is shutting down"})
        with (
            Client(server.target, Options(retry=ONCE, timeout_s=PATIENCE_S)) as client,
            pytest.raises(ClientError) as error,
        ):
            client.predict("m", {"x": [1.0], "rounds": np.array([1], np.int32)})
        assert error.value.code is grpc.StatusCode.UNAVAILABLE
        thread.join()
        assert answers == [7.0]
        assert server.process.wait(PATIENCE_S) == 0
