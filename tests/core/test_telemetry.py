"""Traces: off unless configured, and what is missing is named."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from core import telemetry


@pytest.fixture(autouse=True)
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in telemetry.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(telemetry, "_tracer", None)


def test_without_an_endpoint_nothing_is_imported_and_nothing_is_sent() -> None:
    code = (
        "import sys; from core import telemetry; telemetry.configure('x');"
        "a, b = telemetry.span('a'), telemetry.span('b', parent=telemetry.examination_parent('e'));"
        "assert a is b and telemetry.headers() == {};"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_switched_off_by_opentelemetrys_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(telemetry.ENDPOINTS[1], "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry.configure("x")
    assert telemetry.headers() == {}


def test_a_missing_extra_is_named_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINTS[1], "http://127.0.0.1:4317")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with caplog.at_level(logging.WARNING):
        telemetry.configure("x")
    assert "melanosizer[telemetry]" in caplog.text
    assert "http://127.0.0.1:4317" in caplog.text
    assert telemetry.headers() == {}


def test_an_examination_has_one_parent_and_what_is_asked_within_a_span_carries_it() -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    spans = export.InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry.use(provider)
    parent = telemetry.examination_parent("exam-1")
    assert parent == telemetry.examination_parent("exam-1") != telemetry.examination_parent("exam-2")
    with telemetry.span("ask", parent=parent, kind="CLIENT"):
        sent = telemetry.headers()[telemetry.TRACEPARENT]
    (one,) = spans.get_finished_spans()
    assert sent == f"00-{one.context.trace_id:032x}-{one.context.span_id:016x}-01"
    assert parent.split("-")[1:3] == [f"{one.context.trace_id:032x}", f"{one.parent.span_id:016x}"]
    provider.shutdown()
