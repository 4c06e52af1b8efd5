"""OpenTelemetry traces of one examination: device, gateway and server, by the W3C's traceparent.

Off, and nothing is imported, until `configure` finds an OTLP endpoint in the environment. All other settings are
OpenTelemetry's own `OTEL_` variables, too.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TRACEPARENT = "traceparent"

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

_OFF: AbstractContextManager[Any] = nullcontext()
_tracer: Any = None


def configure(service: str) -> None:
    """Send this process's spans, named `service` unless OTEL_SERVICE_NAME is set, to the environment's OTLP endpoint."""
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
    if not endpoint or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        log.warning(
            "no traces are sent to %s: %s is not installed; install melanosizer[telemetry], or unset %s",
            endpoint,
            error.name,
            " and ".join(ENDPOINTS),
        )
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: Any) -> None:
    """Make spans with this TracerProvider; None switches them off."""
    global _tracer
    _tracer = provider.get_tracer("melanosizer") if provider is not None else None


def examination_parent(examination_id: str) -> str:
    """Return the traceparent of an examination: the same in every process, and after a restart of the device."""
    digest = hashlib.sha256(examination_id.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def span(
    name: str, *, parent: str = "", kind: str = "INTERNAL", attributes: Mapping[str, str] | None = None
) -> AbstractContextManager[Any]:
    """Time the length of a `with` block; few different names, and what else is known in the attributes.

    The parent is the caller's traceparent; without it the span around this one. The kind is a SpanKind: INTERNAL, SERVER
    or CLIENT.
    """
    if _tracer is None:
        return _OFF
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({TRACEPARENT: parent}) if parent else None
    found: AbstractContextManager[Any] = _tracer.start_as_current_span(
        name, context=context, kind=SpanKind[kind], attributes=attributes
    )
    return found


def headers() -> dict[str, str]:
    """Return what a request carries so that whoever answers joins the trace: HTTP headers or gRPC metadata."""
    carrier: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carrier)
    return carrier


class TraceMiddleware:
    """An ASGI application whose every HTTP request is a span, of the caller's trace if it names one."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if _tracer is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"])
        parent = given.get(TRACEPARENT.encode(), b"").decode("latin-1")
        request_id = given.get(b"x-request-id", b"").decode("latin-1")[:128]
        with span(scope["method"], parent=parent, kind="SERVER", attributes={"request_id": request_id}):
            await self._app(scope, receive, send)
