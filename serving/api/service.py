"""What every request goes through, whichever way it came in: admission, routing, the run, metrics, the record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from core import telemetry
from serving.api import classify, predict
from serving.api.image_guard import ImageGuard
from serving.operations.limits import Caller, Limits
from serving.operations.memory import MemoryBudget, Reservation
from serving.operations.metrics import Metrics
from serving.operations.request_log import RequestLog
from serving.options import Options
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    regression_pb2,
)
from serving.status import Code, ServingError, invalid_argument, not_found
from serving.versions.core import ServerCore
from serving.versions.traffic import Router

_RUNTIME = "TF1"
_SIGNATURE_DEF = "signature_def"
# What a request of tf.Examples is called in metrics.
_ON_EXAMPLES = {
    classification_pb2.ClassificationRequest: "Classify",
    regression_pb2.RegressionRequest: "Regress",
    inference_pb2.MultiInferenceRequest: "MultiInference",
}


def _need_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")


@dataclass
class Service:
    """The RPCs, as plain functions that return a response message or raise ServingError."""

    core: ServerCore
    metrics: Metrics
    gate: Limits
    budget: MemoryBudget
    options: Options
    recorder: RequestLog | None = None
    router: Router | None = None

    @contextmanager
    def _measured(self, name: str, api: str, caller: Caller) -> Iterator[None]:
        """Admit and count the request, and time it if it succeeds, as RecordRequestLatency does."""
        code = Code.OK
        try:
            with (
                self.metrics.request_latency.time(name, api, caller.entrypoint),
                telemetry.span(api, parent=caller.traceparent, kind="SERVER", attributes={"model": name}),
                self.gate.admit(caller),
            ):
                yield
        except ServingError as error:
            code = error.code
            raise
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            self.metrics.request_count.add(name, code.name)

    def _timeout(self, caller: Caller) -> int:
        left = caller.timeout_ms()
        return left if self.options.enforce_session_run_timeout else 0

    def predict(self, request: Any, caller: Caller, api: str, memory: Reservation) -> Any:
        """PredictionService.Predict; `api` is what the metrics call it."""
        spec = request.model_spec
        with self._measured(spec.name, api, caller):
            _need_spec(request)
            began = time.perf_counter()
            version = self.router.choose(spec) if self.router is not None else None
            found = self.core.use(spec) if version is None else self.core.manager.use(spec.name, version)
            with found as model:
                run = request
                if self.options.image_guard:
                    run = ImageGuard(self.options, self.metrics, memory).check(request)
                with self.metrics.runtime_latency.time(model.name, "Predict", _RUNTIME):
                    response = predict.run_predict(
                        model,
                        run,
                        timeout_ms=self._timeout(caller),
                        as_content=self.options.enable_serialization_as_tensor_content,
                        memory=memory,
                    )
                if self.recorder is not None:
                    self.recorder.record(model, request, response, caller, time.perf_counter() - began)
            if self.router is not None:
                self.router.shadow(spec, request, response)
            return response

    def infer(self, request: Any, caller: Caller, api: str, memory: Reservation) -> Any:
        """PredictionService's Classify, Regress and MultiInference, whose first task names the model."""
        kind = _ON_EXAMPLES[type(request)]
        several = kind == "MultiInference"
        if several:
            spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        else:
            spec = request.model_spec
        with self._measured(spec.name, api, caller):
            if not several:
                _need_spec(request)
            memory.take(classify.input_bytes(request))
            with self.core.use(spec) as model:
                if self.options.image_guard:
                    guard = ImageGuard(self.options, self.metrics, memory)
                    guard.check_examples(classify.all_examples(request))
                with self.metrics.runtime_latency.time(model.name, kind, _RUNTIME):
                    response = classify.run(model, request, self._timeout(caller))
                if not several:
                    self.metrics.example_count.add(model.name, by=len(classify.examples(request)))
            return response

    def metadata(self, request: Any, caller: Caller) -> Any:
        """PredictionService.GetModelMetadata (get_model_metadata_impl.cc): the signatures of a model.

        It takes none of the places that predictions compete for.
        """
        self.gate.authenticate(caller)
        _need_spec(request)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.core.use(request.model_spec) as model:
            for key, signature in model.signatures.items():
                signatures.signature_def[key].CopyFrom(signature)
            response.model_spec.name = model.name
            response.model_spec.version.value = model.version
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return response

    def status(self, request: Any, caller: Caller) -> Any:
        """ModelService.GetModelStatus (get_model_status_impl.cc): every version ever seen, or the one asked for.

        As metadata it takes no place.
        """
        self.gate.authenticate(caller)
        _need_spec(request)
        name = request.model_spec.name
        statuses = self.core.manager.statuses(name)
        version = self.core.chosen_version(request.model_spec)
        if version is not None:
            if version not in statuses:
                raise not_found(f"Could not find version {version} of model {name}")
            statuses = {version: statuses[version]}
        if not statuses:
            raise not_found(f"Could not find any versions of model {name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, status in statuses.items():
            one = response.model_version_status.add(version=number, state=int(status.state))
            one.status.SetInParent()
            if status.error is not None:
                one.status.error_code = status.error.code.value[0]
                one.status.error_message = status.error.message
        return response
