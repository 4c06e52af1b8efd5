"""One trace over three processes: device, gateway and server send their spans to a collector."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from core import telemetry

pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
EXAMINATION = "0192f0c1e5a07000800000000000cafe"
DEVICE = f"""
import sys
from pathlib import Path
from core import telemetry
from edge.asking.client import ModelServerClient
from edge.config import load
from edge.reporting.gateway import Gateway, GatewayRefusesError
server, gateway, picture = sys.argv[1:]
telemetry.configure("melanosizer-edge")
config = load(None, {{"gateway": {{"url": gateway}}, "server": {{"addresses": [server], "model": "melanoma", "deadline_s": 120}}}})
client = ModelServerClient(config.server, "pi-003")
assert client.ask(Path(picture).read_bytes(), "{EXAMINATION}").model_version == "1"
try:
    Gateway(config, now=lambda: 0.0).put_examination({{"id": "{EXAMINATION}"}})
except GatewayRefusesError as error:  # this device has no token
    assert "401" in str(error), error
"""


class Collector(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
    """Takes spans over OTLP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.came = threading.Condition()
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)  # type: ignore[no-untyped-call]
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def Export(self, request: Any, context: object) -> Any:  # noqa: N802 - gRPC names it
        del context
        with self.came:
            for resource in request.resource_spans:
                named = {one.key: one.value.string_value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self.spans += [(named["service.name"], one) for one in scope.spans]
            self.came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv(telemetry.ENDPOINTS[0], f"http://127.0.0.1:{made.port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    # Set by `configure`, for its own process; the others must not inherit it.
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    yield made
    telemetry.use(None)
    made.server.stop(None).wait()


def test_device_gateway_and_server_make_one_trace(
    collector: Collector, build: Any, serve: Any, picture: bytes, tmp_path: Path
) -> None:
    from tests.support.server_process import ServerProcess

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what TensorFlow says of itself
        from tests.support import model_zoo

        model_zoo.images(tmp_path / "melanoma" / "1")
    (tmp_path / "lesion.jpg").write_bytes(picture)
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={tmp_path / 'melanoma'}", "--model_name=melanoma"
    ) as server:
        gateway = build(
            model_server=server.target, model_name="melanoma", model_server_label="", predict_timeout_s=120
        )
        address = serve(gateway)
        done = subprocess.run(
            [sys.executable, "-c", DEVICE, server.target, address, str(tmp_path / "lesion.jpg")],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        telemetry.configure("melanosizer-gateway")
        parent = telemetry.examination_parent(EXAMINATION)
        answer = gateway.client.post(
            "/api/v1/predict",
            headers=gateway.token("predict") | {telemetry.TRACEPARENT: parent},
            files=[("image", ("lesion.jpg", picture, "image/jpeg"))],
        )
        assert answer.status_code == 200, answer.text

        def found() -> dict[str, list[Any]]:
            spans: dict[str, list[Any]] = {}
            for service, one in collector.spans:
                if one.trace_id.hex() == parent.split("-")[1]:
                    spans.setdefault(service, []).append(one)
            return spans

        with collector.came:
            assert collector.came.wait_for(
                lambda: len(found().get("melanosizer-serving", [])) == 2 and len(found()) == 3, timeout=120
            ), collector.spans
    spans = found()
    asked, reported = sorted(spans["melanosizer-edge"], key=lambda one: one.start_time_unix_nano)
    (predicted,) = spans["melanosizer-gateway"]
    first, second = sorted(spans["melanosizer-serving"], key=lambda one: one.start_time_unix_nano)
    assert (asked.name, reported.name, predicted.name) == ("ask", "report", "POST")
    assert first.name == second.name == "Predict"
    assert first.parent_span_id == asked.span_id
    assert second.parent_span_id == predicted.span_id
    assert {one.parent_span_id.hex() for one in (asked, reported, predicted)} == {parent.split("-")[2]}
