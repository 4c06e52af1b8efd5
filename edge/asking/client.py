"""Asks the model servers: deadline, jittered retries, keep-alive, mutual TLS, several servers."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from core.protos import prediction_service_pb2 as serving
from core.protos.prediction_service_pb2_grpc import ModelServiceStub, PredictionServiceStub
from edge import certificates, tensors
from edge.answer import Answer, InvalidResponseError
from edge.certificates import CertificateError
from edge.heatmap import paint
from edge.sections import ServerSection

log = logging.getLogger(__name__)

SIGNATURE = "serving_default"
EXPLAIN = "explain"
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'
# The picture itself is at fault: asking again will not help.
PICTURE_REFUSED = {grpc.StatusCode.INVALID_ARGUMENT}
# The server is there and will not, or cannot yet, serve this device.
SERVER_REFUSES = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}


class UnreachableError(Exception):
    """No server answered in time; the text names the last one and its reason."""


class PictureRefusedError(Exception):
    """The server will not have this picture; the text is the server's."""


class ServerRefusesError(Exception):
    """The server is there but does not serve this device or model; the text is the server's."""


@dataclass(frozen=True)
class Health:
    """What one server said of itself: `version` is the newest available one, else `trouble` says why not."""

    address: str
    version: str
    trouble: str


class ModelServerClient:
    """A client for the servers of one configuration; safe to use from several threads."""

    def __init__(
        self,
        section: ServerSection,
        device_id: str,
        *,
        now: Callable[[], float] = time.time,
        stop: threading.Event | None = None,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._section = section
        self._device = device_id
        self._now = now
        self._stop = stop or threading.Event()
        self._random = random_unit
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._files: Any = None
        self._without_explain: set[str] = set()

    def ask(self, jpeg: bytes, examination_id: str) -> Answer:
        """The servers' answer to one picture.

        Raises PictureRefusedError, ServerRefusesError, InvalidResponseError, CertificateError or
        UnreachableError.
        """
        section = self._section
        request = tensors.image_request(jpeg, section.model, SIGNATURE, section.version_label)
        pause = section.backoff_s
        for attempt in range(section.attempts):
            if attempt:
                # Full jitter: a fleet that lost its server does not come back in one wave.
                if self._stop.wait(self._random() * pause):
                    break
                pause = min(pause * 2, section.longest_pause_s)
            last: Exception = UnreachableError("the device is shutting down")
            for address in section.addresses:
                try:
                    return tensors.read_answer(self._predict(address, request, examination_id))
                except PictureRefusedError:
                    raise
                except (
                    UnreachableError,
                    ServerRefusesError,
                    InvalidResponseError,
                    CertificateError,
                ) as error:
                    log.info("%s: %s", address, error)
                    last = error
            if not isinstance(last, UnreachableError):
                break
        raise last

    def explain(self, jpeg: bytes, examination_id: str, version: str) -> bytes | None:
        """A picture of where the model looked.

        None when this version has no `explain` signature or it failed.
        """
        if version in self._without_explain:
            return None
        section = self._section
        request = tensors.image_request(jpeg, section.model, EXPLAIN, section.version_label)
        for address in section.addresses:
            try:
                found = tensors.read_picture(self._predict(address, request, examination_id))
            except (ServerRefusesError, PictureRefusedError):
                break
            except (UnreachableError, InvalidResponseError, CertificateError):
                continue
            if found is not None:
                return found if isinstance(found, bytes) else paint(jpeg, found)
            break
        self._without_explain.add(version)
        return None

    def health(self) -> list[Health]:
        """What every server says of its model, for the settings page and the self-test."""
        request = serving.GetModelStatusRequest()
        request.model_spec.name = self._section.model
        found = []
        for address in self._section.addresses:
            try:
                stub = ModelServiceStub(self._channel(address))  # type: ignore[no-untyped-call]
                reply = self._call(address, stub.GetModelStatus, request, "health")
            except (UnreachableError, ServerRefusesError, PictureRefusedError, InvalidResponseError) as error:
                found.append(Health(address, "", str(error)))
                continue
            except CertificateError as error:
                found.append(Health(address, "", str(error)))
                continue
            available = serving.ModelVersionStatus.AVAILABLE
            versions = [status.version for status in reply.model_version_status if status.state == available]
            trouble = "" if versions else f"no version of {self._section.model} is available yet"
            found.append(Health(address, str(max(versions)) if versions else "", trouble))
        return found

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()

    def _predict(self, address: str, request: Any, examination_id: str) -> serving.PredictResponse:
        stub = PredictionServiceStub(self._channel(address))  # type: ignore[no-untyped-call]
        response: serving.PredictResponse = self._call(address, stub.Predict, request, examination_id)
        return response

    def _call(self, address: str, method: Any, request: Any, examination_id: str) -> Any:
        metadata = (("x-request-id", examination_id), ("x-device-id", self._device))
        try:
            return method(request, timeout=self._section.deadline_s, metadata=metadata)
        except grpc.RpcError as error:
            code, details = error.code(), (error.details() or "").strip()[:300]
            text = f"{address}: {code.name}: {details}"
            label = self._section.version_label
            if code in PICTURE_REFUSED and not (label and label in details):
                raise PictureRefusedError(text) from None
            if code in SERVER_REFUSES or code in PICTURE_REFUSED:
                raise ServerRefusesError(text) from None
            if "deserializing" in details:
                raise InvalidResponseError(text) from None
            if "certificate has expired" in details.lower() or "CERTIFICATE_VERIFY_FAILED" in details:
                raise CertificateError(f"{text} (the server's certificate, or server.ca_file)") from None
            raise UnreachableError(text) from None
        except ValueError as error:  # the channel was closed to read new certificates
            raise UnreachableError(f"{address}: {error}") from None

    def _channel(self, address: str) -> grpc.Channel:
        section = self._section
        files = certificates.fingerprint(section.ca_file, section.certificate_file, section.key_file)
        if section.certificate_file is not None:
            certificates.check(section.certificate_file, self._now())
        with self._lock:
            if files != self._files:
                for old in self._channels.values():
                    old.close()
                self._channels.clear()
                self._files = files
            if address not in self._channels:
                self._channels[address] = self._connect(address)
            return self._channels[address]

    def _connect(self, address: str) -> grpc.Channel:
        section = self._section
        options: list[tuple[str, Any]] = [
            ("grpc.keepalive_time_ms", int(section.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_retries", 0),  # tries are counted and jittered here
            ("grpc.enable_http_proxy", 0),
        ]
        if address.startswith("dns:///"):
            options.append(("grpc.service_config", ROUND_ROBIN))
        if section.ca_file is None:
            return grpc.insecure_channel(address, options=options)
        if section.tls_name:
            options.append(("grpc.ssl_target_name_override", section.tls_name))
        try:
            credentials = grpc.ssl_channel_credentials(
                section.ca_file.read_bytes(),
                section.key_file.read_bytes() if section.key_file else None,
                section.certificate_file.read_bytes() if section.certificate_file else None,
            )
        except OSError as error:
            raise CertificateError(f"{error.filename}: cannot be read: {error.strerror}") from None
        return grpc.secure_channel(address, credentials, options=options)
