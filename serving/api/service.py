"""What every request goes through, whichever way it came in: admission, routing, the run, metrics, the record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from core import telemetry
from serving.api import classify, predict
from serving.api.caller import Caller
from serving.api.image_guard import ImageGuard
from serving.api.model_status import get_model_metadata, get_model_status
from serving.operations.limits import Limits
from serving.operations.memory import Reservation
from serving.operations.metrics import Metrics
from serving.operations.request_log import RequestLog
from serving.protos import classification_pb2, inference_pb2, model_pb2, regression_pb2
from serving.status import Code, ServingError, invalid_argument
from serving.versions.core import ServerCore
from serving.versions.traffic import Router

_RUNTIME = "TF1"
# What a request of tf.Examples is called in metrics, and what answers it.
_ON_EXAMPLES = {
    classification_pb2.ClassificationRequest: ("Classify", classify.run_classify),
    regression_pb2.RegressionRequest: ("Regress", classify.run_regress),
    inference_pb2.MultiInferenceRequest: ("MultiInference", classify.run_multi_inference),
}


@dataclass
class Service:
    """The RPCs, as plain functions that return a response message or raise ServingError."""

    core: ServerCore
    metrics: Metrics
    gate: Limits
    guard: ImageGuard | None = None
    recorder: RequestLog | None = None
    router: Router | None = None
    as_content: bool = False
    enforce_timeout: bool = True

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
        return left if self.enforce_timeout else 0

    def predict(self, request: Any, caller: Caller, api: str, memory: Reservation) -> Any:
        """PredictionService.Predict; `api` is what the metrics call it."""
        spec = request.model_spec
        with self._measured(spec.name, api, caller):
            if not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            began = time.perf_counter()
            version = self.router.choose(spec) if self.router is not None else None
            found = self.core.use(spec) if version is None else self.core.manager.use(spec.name, version)
            with found as model:
                run = request if self.guard is None else self.guard.check(request, memory)
                with self.metrics.runtime_latency.time(model.name, "Predict", _RUNTIME):
                    response = predict.run_predict(
                        model,
                        run,
                        timeout_ms=self._timeout(caller),
                        as_content=self.as_content,
                        memory=memory,
                    )
                if self.recorder is not None:
                    self.recorder.record(model, request, response, caller, time.perf_counter() - began)
            if self.router is not None:
                self.router.shadow(spec, request, response)
            return response

    def infer(self, request: Any, caller: Caller, api: str, memory: Reservation) -> Any:
        """PredictionService's Classify, Regress and MultiInference, whose first task names the model."""
        kind, run = _ON_EXAMPLES[type(request)]
        several = kind == "MultiInference"
        if several:
            spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        else:
            spec = request.model_spec
        with self._measured(spec.name, api, caller):
            if not several and not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            memory.take(classify.input_bytes(request))
            with self.core.use(spec) as model:
                if self.guard is not None:
                    self.guard.check_examples(classify.examples(request), memory)
                with self.metrics.runtime_latency.time(model.name, kind, _RUNTIME):
                    response = run(model, request, timeout_ms=self._timeout(caller))
                if not several:
                    self.metrics.example_count.add(model.name, by=classify.example_count(request))
            return response

    def metadata(self, request: Any, caller: Caller) -> Any:
        """PredictionService.GetModelMetadata; it takes none of the places that predictions compete for."""
        self.gate.authenticate(caller)
        return get_model_metadata(self.core, request)

    def status(self, request: Any, caller: Caller) -> Any:
        """ModelService.GetModelStatus; as metadata."""
        self.gate.authenticate(caller)
        return get_model_status(self.core, request)
