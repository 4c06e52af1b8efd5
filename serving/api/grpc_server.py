"""The gRPC side: PredictionService, ModelService, health, reflection, on grpc's threaded server."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from core.telemetry import TRACEPARENT
from serving.api.service import Service
from serving.operations.limits import Caller
from serving.operations.memory import Reservation
from serving.protos import model_management_pb2
from serving.status import ServingError, failed_precondition, internal, invalid_argument

log = logging.getLogger(__name__)

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
HEALTH_SERVICES = ("", "ModelService", "PredictionService", MODEL_SERVICE, PREDICTION_SERVICE)

_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
_YEAR = 365 * 86400.0
# The bytes, the message, its copy for TensorFlow's parser, the tensor.
_MESSAGE_COPIES = 4
# Answers that are on their way are sent; only open streams use it up, and a stop ends within a second of the last answer.
_STREAM_SECONDS = 0.8

Handler = Callable[[Any, Caller, str, Reservation], Any]
Reload = Callable[[Any, Callable[[], bool]], None]


def _caller(context: Any) -> Caller:
    metadata = dict(context.invocation_metadata())
    left = context.time_remaining()
    # Without a deadline gRPC tells of one in some hundred million years.
    left = left if left is not None and left < _YEAR else None
    # `ipv4:127.0.0.1:5000` without its port: what a caller keeps from one connection to the next.
    peer = context.peer()
    peer = peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer
    return Caller(
        entrypoint="GRPC",
        peer=peer,
        request_id=str(metadata.get("x-request-id") or uuid.uuid4().hex),
        deadline=None if left is None else time.monotonic() + left,
        authorization=str(metadata.get("authorization", "")),
        device_id=str(metadata.get("x-device-id", ""))[:64],
        traceparent=str(metadata.get(TRACEPARENT, "")),
    )


def fail(context: Any, error: ServingError) -> None:
    """End an RPC with a ServingError, with retry information where there is any."""
    seconds = error.retry_after_seconds
    if seconds is not None:
        context.set_trailing_metadata(
            (("grpc-retry-pushback-ms", str(int(seconds * 1000))), ("retry-after", f"{seconds:.3f}"))
        )
    context.abort(error.code, error.grpc_message())


def _unary(work: Handler, method: Any, service: Service) -> Any:
    """A handler of a method (its descriptor) that parses the message itself: only once there is memory for it."""
    request, response = map(GetMessageClass, (method.input_type, method.output_type))

    def handle(message: bytes, context: Any) -> Any:
        caller = _caller(context)
        try:
            with Reservation(service.budget) as memory:
                memory.take(_MESSAGE_COPIES * len(message))
                try:
                    parsed = request.FromString(message)
                except DecodeError as error:
                    raise internal(f"Exception deserializing request: {error}") from None
                return work(parsed, caller, method.name, memory)
        except ServingError as error:
            log.debug("request %s failed: %s", caller.request_id, error.to_string())
            fail(context, error)
        except Exception as error:
            log.exception("request %s broke", caller.request_id)
            fail(context, internal(f"{type(error).__name__}: {error}"))

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=response.SerializeToString)


def _reload_handler(service: Service, reload: Reload) -> Any:
    def handle(message: Any, context: Any) -> Any:
        response = model_management_pb2.ReloadConfigResponse()
        try:
            service.gate.authenticate(_caller(context))
            if message.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest."
                    " Only ModelConfigList is currently supported"
                )
            for index, one in enumerate(message.config.model_config_list.config):
                log.info("Config entry index: %d path: %s name: %s", index, one.base_path, one.name)
            reload(message.config, context.is_active)
        except ServingError as error:
            log.error("ReloadConfig failed: %s", error.message)
            fail(context, error)
        response.status.SetInParent()
        return response

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=model_management_pb2.ReloadConfigRequest.FromString,
        response_serializer=model_management_pb2.ReloadConfigResponse.SerializeToString,
    )


def _handlers(service: Service, reload: Reload) -> Iterator[Any]:
    def without_memory(work: Callable[[Any, Caller], Any]) -> Handler:
        return lambda request, caller, *_: work(request, caller)

    works: dict[str, dict[str, Handler]] = {
        PREDICTION_SERVICE: {
            "Predict": service.predict,
            "Classify": service.infer,
            "Regress": service.infer,
            "MultiInference": service.infer,
            "GetModelMetadata": without_memory(service.metadata),
        },
        MODEL_SERVICE: {"GetModelStatus": without_memory(service.status)},
    }
    for name, methods in works.items():
        known = descriptor_pool.Default().FindServiceByName(name).methods_by_name
        handlers = {api: _unary(work, known[api], service) for api, work in methods.items()}
        if name == MODEL_SERVICE:
            handlers["HandleReloadConfigRequest"] = _reload_handler(service, reload)
        yield grpc.method_handlers_generic_handler(name, handlers)


def parse_channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """`--grpc_channel_arguments`: comma-separated key=value, numbers as numbers."""
    options: list[tuple[str, int | str]] = []
    for pair in filter(None, text.split(",")):
        key, found, value = pair.partition("=")
        if not found:
            raise invalid_argument(f"--grpc_channel_arguments: {pair!r} is not key=value")
        options.append((key, int(value) if value.lstrip("-").isdigit() else value))
    return options


class GrpcServer:
    """The listening server and its health service."""

    def __init__(self, service: Service, reload: Reload) -> None:
        options = service.options
        threads = options.grpc_max_threads or options.max_inflight_requests + 16
        self._pool = futures.ThreadPoolExecutor(max_workers=threads, thread_name_prefix="grpc")
        self._server = grpc.server(
            self._pool,
            options=[
                ("grpc.max_receive_message_length", min(2**31 - 1, service.budget.limit)),
                ("grpc.max_send_message_length", 2**31 - 1),
                # A taken port is an error to be told, not one to be shared.
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
                *parse_channel_arguments(options.grpc_channel_arguments),
            ],
        )
        _register_descriptors()
        self._server.add_generic_rpc_handlers(tuple(_handlers(service, reload)))
        names = [PREDICTION_SERVICE, MODEL_SERVICE, reflection.SERVICE_NAME]
        self._health: Any = None
        if options.enable_grpc_healthcheck_service:
            self._health = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
            names.append(health.SERVICE_NAME)
        names.append(_REFLECTION_V1)
        servicer = reflection.ReflectionServicer(names, pool=_MethodPool())
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, self._server)
        self._server.add_generic_rpc_handlers((_reflection_v1(servicer),))

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Add an address (`host:port`, port 0 for any; `unix:path`) and return its port.

        Raises:
            ServingError: FAILED_PRECONDITION if it cannot be bound.
        """
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise failed_precondition(f"cannot listen on {address}: {error}") from error

    def start(self) -> None:
        """Take requests."""
        self._server.start()
        self.set_serving(True)

    def set_serving(self, serving: bool) -> None:
        """What the health service answers."""
        if self._health is None:
            return
        status = health_pb2.HealthCheckResponse
        for name in HEALTH_SERVICES:
            self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    def refuse(self, grace: float) -> None:
        """Take no more requests; those under way have `grace` seconds."""
        self._server.stop(grace)

    def stop(self) -> None:
        """Stop now: what is still open are streams (a health Watch, a reflection client)."""
        self._server.stop(_STREAM_SECONDS).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _register_descriptors() -> None:
    """Put the two services into the descriptor pool.

    The wheel's generated modules do that and then trip over an attribute that today's protobuf has made
    read-only: the descriptors are registered by then.
    """
    for name in ("prediction_service_pb2", "model_service_pb2"):
        with contextlib.suppress(AttributeError):
            importlib.import_module(f"tensorflow_serving.apis.{name}")
    # The first version has the same messages under another package, and no Python module.
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    text = text_format.MessageToString(file).replace("v1alpha", "v1")
    descriptor_pool.Default().AddSerializedFile(
        text_format.Parse(text, descriptor_pb2.FileDescriptorProto()).SerializeToString()
    )


def _reflection_v1(servicer: Any) -> Any:
    messages = reflection_pb2
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=messages.ServerReflectionRequest.FromString,
        response_serializer=messages.ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_REFLECTION_V1, {"ServerReflectionInfo": method})


class _MethodPool:
    """The default descriptor pool, which also finds the file of `package.Service.Method`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802 - protobuf's name
        """Return the file that defines a symbol; KeyError if none does."""
        pool = descriptor_pool.Default()
        try:
            return pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            found = pool.FindServiceByName(service)
            if method not in found.methods_by_name:
                raise
            return found.file
