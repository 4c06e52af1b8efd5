"""Asks the model servers: deadline, jittered retries, keep-alive, mutual TLS, several servers."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import grpc

from core import telemetry
from core.features import IMAGE_BYTES
from core.heatmap import paint
from core.protos import prediction_service_pb2 as protos
from core.tfserving.answers import EXPLAIN, SIGNATURE, read_answers, read_explanation, row_numbers
from core.tfserving.channel import ONCE, ClientError, CredentialsError, Options, Tls
from core.tfserving.client import Client
from core.tfserving.tensors import InvalidResponseError, predict_request
from edge import certificates
from edge.asking.status import CERTIFICATE, INVALID_RESPONSE, RULES, SHUTTING_DOWN, StatusRule
from edge.certificates import CertificateError
from edge.config import ServerSection
from edge.queue.examination import Answer

log = logging.getLogger(__name__)


class AskError(Exception):
    """A question without an answer; `rule` says what to do about it, the text what happened and where."""

    def __init__(self, rule: StatusRule, text: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(text)
        self.rule = rule
        self.code = code


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
    ) -> None:
        """Make the client; `now` (Unix seconds) is compared with certificates, `stop` ends the pauses between tries."""
        self._section = section
        self._device = device_id
        self._now = now
        self._stop = stop or threading.Event()
        tls = None
        if section.ca_file is not None:
            tls = Tls(section.ca_file, section.key_file, section.certificate_file, section.tls_name or None)
        options = Options(
            timeout_s=section.deadline_s,
            retry=ONCE,  # tries are counted and jittered here, over all servers
            tls=tls,
            keepalive_s=section.keepalive_s,
            keepalive_idle=True,
        )
        self._clients = {address: Client(address, options) for address in section.addresses}
        self._without_explain: set[str] = set()

    def ask(self, jpeg: bytes, examination_id: str) -> Answer:
        """Return the servers' answer to one picture.

        Raises:
            AskError: none answered; it carries the rule for the last server's reason.
        """
        section = self._section
        request = self._request(jpeg, SIGNATURE)
        pause = section.backoff_s
        last = AskError(SHUTTING_DOWN, "the device is shutting down")
        for attempt in range(section.attempts):
            if attempt:
                # Full jitter: a fleet that lost its server does not come back in one wave.
                if self._stop.wait(random.uniform(0, pause)):  # noqa: S311
                    break
                pause = min(pause * 2, section.longest_pause_s)
            for address in section.addresses:
                try:
                    return _read(self._predict(address, request, examination_id), address)
                except AskError as error:
                    if error.rule.handling == "picture":
                        raise
                    log.info("%s", error)
                    last = error
            if last.rule.handling != "retry_now":
                break
        raise last

    def explain(self, jpeg: bytes, examination_id: str, version: str) -> bytes | None:
        """Return a picture (JPEG or PNG) of where the model looked; None if this version has no `explain` signature.

        Raises:
            AskError: it failed this time; the next photograph may have one.
        """
        if version in self._without_explain:
            return None
        request = self._request(jpeg, EXPLAIN)
        last: AskError | None = None
        for address in self._section.addresses:
            try:
                found = read_explanation(self._predict(address, request, examination_id))
            except InvalidResponseError as error:
                last = AskError(INVALID_RESPONSE, f"{address}: {error}")
            except AskError as error:
                last = error
                if _has_no_explain(error):
                    last = None
                    break
            else:
                if found is not None:
                    return found if isinstance(found, bytes) else paint(jpeg, found)
                break
        if last is not None:
            raise last
        self._without_explain.add(version)
        return None

    def health(self) -> list[Health]:
        """Return what every server says of its model, for the settings page and the self-test."""
        found = []
        for address, client in self._clients.items():
            try:
                self._check_certificate()
                versions = client.status(self._section.model, metadata=self._metadata("health"))
            except ClientError as error:
                found.append(Health(address, "", str(_ask_error(error, self._section.version_label))))
            except (CertificateError, InvalidResponseError) as error:
                found.append(Health(address, "", str(error)))
            else:
                available = [one.version for one in versions if one.state == "AVAILABLE"]
                trouble = "" if available else f"no version of {self._section.model} is available yet"
                found.append(Health(address, str(max(available)) if available else "", trouble))
        return found

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def _request(self, jpeg: bytes, signature: str) -> protos.PredictRequest:
        section = self._section
        return predict_request(
            section.model, {IMAGE_BYTES: [jpeg]}, signature=signature, label=section.version_label or None
        )

    def _metadata(self, examination_id: str) -> tuple[tuple[str, str], ...]:
        return (("x-request-id", examination_id), ("x-device-id", self._device))

    def _predict(
        self, address: str, request: protos.PredictRequest, examination_id: str
    ) -> protos.PredictResponse:
        try:
            self._check_certificate()
            parent = telemetry.examination_parent(examination_id)
            with telemetry.span("ask", parent=parent, kind="CLIENT", attributes={"server": address}):
                return self._clients[address].predict_raw(request, metadata=self._metadata(examination_id))
        except ClientError as error:
            raise _ask_error(error, self._section.version_label) from None
        except CertificateError as error:
            raise AskError(CERTIFICATE, str(error)) from None

    def _check_certificate(self) -> None:
        if self._section.certificate_file is not None:
            certificates.check(self._section.certificate_file, self._now())


def _ask_error(error: ClientError, label: str) -> AskError:
    """Return the error with its row of the table; a few messages say more than their code."""
    code, details = error.code, error.message
    rule = RULES.get(code, RULES[grpc.StatusCode.UNKNOWN])
    if code is grpc.StatusCode.INVALID_ARGUMENT and label and label in details:
        rule = RULES[grpc.StatusCode.NOT_FOUND]  # the label is unknown, not the picture bad
    if "deserializing" in details:
        rule = INVALID_RESPONSE
    text = f"{error.target}: {code.name}: {details.strip()[:300]}"
    if "certificate has expired" in details.lower() or "CERTIFICATE_VERIFY_FAILED" in details:
        return AskError(CERTIFICATE, f"{text} (the server's certificate, or server.ca_file)")
    if isinstance(error, CredentialsError):
        return AskError(CERTIFICATE, text)
    return AskError(rule, text, code)


def _read(response: protos.PredictResponse, address: str) -> Answer:
    try:
        (found,) = read_answers(response, 1)
        low_below, refer_from = (
            float(row_numbers(response, name, 1)[0]) if name in response.outputs else None
            for name in ("low_below", "refer_from")
        )
        return Answer(**asdict(found), low_below=low_below, refer_from=refer_from)
    except InvalidResponseError as error:
        raise AskError(INVALID_RESPONSE, f"{address}: {error}") from None


def _has_no_explain(error: AskError) -> bool:
    """Tell a model without the signature from one that failed this time."""
    if error.code is grpc.StatusCode.FAILED_PRECONDITION:
        # TensorFlow Serving's word for it: `Serving signature key "explain" not found.`
        return EXPLAIN in str(error) and "not found" in str(error)
    return error.code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT)
