"""TF Serving's REST API as functions of method, path and body (http_rest_api_handler.cc, http_rest_api_util.cc)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format

from serving.api import json_replies, json_requests
from serving.api.json_tensors import Dtypes
from serving.api.json_worker import Body, JsonWorkers, is_long
from serving.api.service import Service
from serving.operations.limits import Caller
from serving.operations.memory import JsonSize, Reservation
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    regression_pb2,
)
from serving.status import ServingError, internal, invalid_argument

API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_PREDICTION = re.compile(
    r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?:(classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:/(metadata))?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after_seconds: float | None = None


def error_reply(error: ServingError) -> Reply:
    """`{"error": ...}` under the error's HTTP status."""
    return Reply(
        error.http_status,
        json_replies.error(error.message),
        retry_after_seconds=error.retry_after_seconds,
    )


def _decode(text: str, what: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise invalid_argument(f"Failed to decode {what}:{text}") from None


def _fill_spec(spec: Any, name: str, version: str | None, label: str | None) -> None:
    spec.name = _decode(name, "model name")
    if version:
        # Python refuses to read more than 4,300 digits.
        if len(version) > 19 or int(version) >= 2**63:
            raise invalid_argument(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label:
        spec.version_label = _decode(label, "model version label")


class RestApi:
    """The API of one service."""

    def __init__(self, service: Service, workers: JsonWorkers) -> None:
        self.service = service
        self._workers = workers

    def handle(self, method: str, path: str, body: Body, caller: Caller, memory: Reservation) -> Reply:
        """Answer one request under /v1/.

        Args:
            method: GET or POST.
            path: As it came, still encoded.
            body: The JSON text, unzipped.
            caller: Who asks.
            memory: What the request may take, given back by whoever reserved it.

        Raises:
            ServingError: what is wrong with the request, or went wrong.
        """
        if method == "POST" and (found := _PREDICTION.fullmatch(path)):
            size = JsonSize.of(body)
            memory.take(size.memory_bytes)
            return Reply(200, self._predict(found, body, is_long(size), caller, memory))
        if method == "GET" and (found := _STATUS.fullmatch(path)):
            return Reply(200, self._describe(found, caller))
        raise invalid_argument(f"Malformed request: {method} {path}")

    def _predict(
        self, found: re.Match[str], body: Body, is_long: bool, caller: Caller, memory: Reservation
    ) -> bytes:
        name, version, label, verb = found.groups()
        kinds: dict[str, tuple[Any, Callable[..., Any]]] = {
            "predict": (predict_pb2.PredictRequest, self.service.predict),
            "classify": (classification_pb2.ClassificationRequest, self.service.infer),
            "regress": (regression_pb2.RegressionRequest, self.service.infer),
        }
        # Regular expressions match any case, the dispatch after them does not.
        if verb not in kinds:
            raise invalid_argument(f"Malformed request: POST /v1/models/{name}:{verb}")
        kind, work = kinds[verb]
        request = kind()
        _fill_spec(request.model_spec, name, version, label)
        try:
            form = self._fill(body, is_long, request, caller)
        except ServingError as error:
            # A body that is wrong counts as a request of its model, like any other failure.
            self.service.metrics.request_count.add(request.model_spec.name, error.code.name)
            raise
        response = work(request, caller, verb, memory)
        if verb == "classify":
            return json_replies.classifications(response.result)
        if verb == "regress":
            return json_replies.regressions(response.result)
        write = json_replies.row_format if form == "row" else json_replies.column_format
        return write(response.outputs)

    def _signatures(self, spec: Any) -> dict[str, Dtypes]:
        """The types of the inputs of each signature of a model."""
        with self.service.core.use(spec) as model:
            return {
                name: {key: info.dtype for key, info in signature.inputs.items()}
                for name, signature in model.signatures.items()
            }

    def _fill(self, body: Body, is_long: bool, request: Any, caller: Caller) -> str:
        """Fill a request, a long one in another process; return the format of Predict's reply."""
        spec, is_predict = request.model_spec, isinstance(request, predict_pb2.PredictRequest)
        if is_long:
            signatures = self._signatures(spec) if is_predict else None
            return self._workers.fill(body, signatures, request, caller.timeout_ms() / 1000 or None)
        if is_predict:
            return json_requests.fill_predict(bytes(body), lambda: self._signatures(spec), request)
        json_requests.fill_examples(bytes(body), request)
        return ""

    def _describe(self, found: re.Match[str], caller: Caller) -> bytes:
        name, version, label, part = found.groups()
        if not name:
            raise invalid_argument("Missing model name in request.")
        if part == "metadata":
            request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
            _fill_spec(request.model_spec, name, version, label)
            return _metadata_text(self.service.metadata(request, caller)).encode()
        status = get_model_status_pb2.GetModelStatusRequest()
        _fill_spec(status.model_spec, name, version, label)
        return (_proto_text(self.service.status(status, caller)) + "\n").encode()


def _proto_text(message: Any) -> str:
    """A message as MessageToJsonString prints it: all fields, names as in the .proto, one space of indent."""
    fields = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.dumps(fields, indent=1, ensure_ascii=False)


def _metadata_text(response: Any) -> str:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    if not response.metadata["signature_def"].Unpack(signatures):
        raise internal("Failed to unpack 'Any' object to 'SignatureDefMap'.")
    return (
        f'{{\n"model_spec":{_proto_text(response.model_spec)}\n,\n"metadata": {{"signature_def": '
        f"{_proto_text(signatures)}\n}}\n}}\n"
    )
