"""Stand-ins for the far end of a device: a model server, a gateway, and a network that drops.

They speak the real protocols over real sockets on 127.0.0.1, and remember what reached them.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import threading
from collections.abc import Callable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from core.protos import prediction_service_pb2 as serving
from core.protos import prediction_service_pb2_grpc as stubs
from core.protos import tensor_pb2 as tensors

Reply = Callable[[bytes, grpc.ServicerContext], serving.PredictResponse]


def answer(
    probability: float = 0.12,
    *,
    threshold: float = 0.3,
    zone: str = "",
    version: str = "1795300000",
    odd: float = 0.0,
    limits: tuple[float, float] | None = None,
) -> serving.PredictResponse:
    """A reply as the exported model gives it."""
    low_below, refer_from = limits or (threshold / 2, threshold)
    zone = zone or ("refer" if probability >= refer_from else "review" if probability >= low_below else "low")
    reply = serving.PredictResponse()
    reply.model_spec.name = "melanoma"
    reply.model_spec.version.value = int(version)
    numbers = [("probability", probability), ("threshold", threshold), ("out_of_distribution", odd)]
    if limits is not None:
        numbers += [("low_below", limits[0]), ("refer_from", limits[1])]
    for name, value in numbers:
        tensor = reply.outputs[name]
        tensor.dtype = tensors.DT_FLOAT
        tensor.tensor_shape.dim.add().size = 1
        tensor.float_val.append(value)
    decision = reply.outputs["decision"]
    decision.dtype = tensors.DT_INT64
    decision.tensor_shape.dim.add().size = 1
    decision.int64_val.append(int(probability >= threshold))
    for name, text in (("zone", zone), ("model_version", version)):
        tensor = reply.outputs[name]
        tensor.dtype = tensors.DT_STRING
        tensor.tensor_shape.dim.add().size = 1
        tensor.string_val.append(text.encode())
    return reply


def scored(jpeg: bytes, _context: grpc.ServicerContext) -> serving.PredictResponse:
    """A probability made of the picture's bytes: the same picture always has the same answer."""
    return answer(int.from_bytes(hashlib.sha256(jpeg).digest()[:2], "big") / 65535)


class ModelServer:
    """A PredictionService that remembers the order in which it first saw each examination id."""

    def __init__(
        self, reply: Reply = scored, *, explain: bytes | None = None, credentials: Any = None
    ) -> None:
        self.reply = reply
        self.explain = explain
        self.explain_fails: tuple[grpc.StatusCode, str] | None = None
        self.unhealthy = False
        self.deliveries: list[tuple[str, str, bytes]] = []  # (request id, SHA-256, device id) as they came
        self.explanations: list[str] = []  # request ids that asked for a heat map
        self.arrived = threading.Condition()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)]
        )
        stubs.add_PredictionServiceServicer_to_server(self, self._server)
        stubs.add_ModelServiceServicer_to_server(self, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def Predict(  # noqa: N802 (gRPC's name)
        self, request: serving.PredictRequest, context: grpc.ServicerContext
    ) -> serving.PredictResponse:
        """One question."""
        jpeg = bytes(request.inputs["image_bytes"].string_val[0])
        if request.model_spec.signature_name == "explain":
            with self.arrived:
                self.explanations.append(dict(context.invocation_metadata())["x-request-id"])
            if self.explain_fails is not None:
                context.abort(*self.explain_fails)
            if self.explain is None:
                context.abort(
                    grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "explain" not found.'
                )
            reply = serving.PredictResponse()
            reply.outputs["overlay"].dtype = tensors.DT_STRING
            reply.outputs["overlay"].string_val.append(self.explain)
            return reply
        metadata = dict(context.invocation_metadata())
        with self.arrived:
            self.deliveries.append(
                (metadata["x-request-id"], hashlib.sha256(jpeg).hexdigest(), metadata["x-device-id"])
            )
            self.arrived.notify_all()
        return self.reply(jpeg, context)

    def GetModelStatus(  # noqa: N802
        self, _request: serving.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> serving.GetModelStatusResponse:
        """One version, available."""
        if self.unhealthy:
            context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model melanoma")
        reply = serving.GetModelStatusResponse()
        status = reply.model_version_status.add()
        status.version, status.state = 1795300000, serving.ModelVersionStatus.AVAILABLE
        return reply

    def ids(self) -> list[str]:
        """The record of each id, in the order of first arrival: what an idempotent far end keeps."""
        with self.arrived:
            return list(dict.fromkeys(delivery[0] for delivery in self.deliveries))

    def close(self) -> None:
        """Stops at once."""
        self._server.stop(0).wait()


class FleetGateway:
    """An HTTP gateway that keeps one record an id and remembers every heartbeat."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.heartbeats: list[dict[str, Any]] = []
        self.enrolments: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.repeats = 0
        self.refuse = 0  # status code to answer with instead
        self.page: bytes | None = None  # HTML that a sign-in page between here and there answers with
        self.date: str | None = None
        self.enrolment: dict[str, str] = {"token": "token-1"}
        self.arrived = threading.Condition()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                gateway.take(self)

            def do_POST(self) -> None:
                gateway.take(self)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return gateway.date or super().date_time_string(timestamp)

            def log_message(self, *_arguments: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_arguments: Any) -> None:
                return  # the network was cut

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """http://host:port."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        reply: dict[str, Any] = {"status": "new"}
        status = self.refuse or 200
        if self.refuse:
            reply = {"error": "this gateway was told to refuse", "status": self.refuse}
        with self.arrived:
            self.headers.append(dict(request.headers))
            if not self.refuse and self.page is None:
                if request.command == "PUT":
                    # As the dashboard's gateway: the same id again is the same record.
                    known = body["id"] in self.records
                    self.repeats += known
                    self.records.setdefault(body["id"], body)
                    status, reply = (200, {"status": "known"}) if known else (201, {"status": "new"})
                elif request.path.endswith("/enroll"):
                    self.enrolments.append(body)
                    reply = dict(self.enrolment)
                else:
                    self.heartbeats.append(body)
            self.arrived.notify_all()
        data = json.dumps(reply).encode() if self.page is None else self.page
        request.send_response(status)
        request.send_header("Content-Type", "application/json" if self.page is None else "text/html")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def close(self) -> None:
        """Stops."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Network:
    """A TCP proxy to `port` that can be cut, and whose cuts also break what is under way.

    It can also swallow: connections that are open stay open and nothing passes any more (half-open), while new
    ones work.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._up = True
        self._connections: set[socket.socket] = set()
        self._swallowed: set[socket.socket] = set()
        self.swallows = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def up(self) -> bool:
        """False while it is cut."""
        with self._lock:
            return self._up

    def cut(self) -> None:
        """Takes the network away: open connections die, new ones are dropped."""
        with self._lock:
            self.cuts += self._up
            self._up = False
            connections, self._connections = self._connections, set()
        for connection in connections:
            _kill(connection)

    def swallow(self) -> None:
        """Let every byte of the open connections vanish, without a reset, as a router that forgot them does."""
        with self._lock:
            self.swallows += 1
            self._swallowed |= self._connections

    def mend(self) -> None:
        """Gives it back."""
        with self._lock:
            self._up = True

    def close(self) -> None:
        """Cuts for good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                up = self._up
            if not up:
                _kill(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                _kill(near)
                continue
            far.settimeout(None)
            with self._lock:
                self._connections |= {near, far}
                still_up = self._up
            if not still_up:
                self.cut()
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                with self._lock:
                    swallowed = source in self._swallowed
                if not swallowed:
                    sink.sendall(data)
        except OSError:
            pass  # the network was cut
        finally:
            with self._lock:
                self._connections -= {source, sink}
                self._swallowed -= {source, sink}
            _kill(source)
            _kill(sink)


HALF_OPEN = 0.3  # share of the faults that leave a connection open and dead


class Weather(threading.Thread):
    """Cuts and mends networks, or makes them half-open, at random until told to stop; `random` makes it repeatable in kind."""

    def __init__(self, networks: list[Network], seed: random.Random, *, up_s: float, down_s: float) -> None:
        super().__init__(name="weather", daemon=True)
        self._networks, self._random, self._up, self._down = networks, seed, up_s, down_s
        self.stop = threading.Event()

    def run(self) -> None:
        """Fair, foul, fair."""
        while not self.stop.wait(self._random.expovariate(1 / self._up)):
            victim = self._random.choice(self._networks)
            if self._random.random() < HALF_OPEN:
                victim.swallow()
                continue
            victim.cut()
            self.stop.wait(self._random.expovariate(1 / self._down))
            victim.mend()
        for network in self._networks:
            network.mend()


def _kill(connection: socket.socket) -> None:
    try:
        # A reset, as when a cable is pulled and put back: no polite end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is gone already
    connection.close()
