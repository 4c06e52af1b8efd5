"""What every request goes through, whichever way it came in: admission, routing, the run, metrics, the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core import telemetry
from serving.api import classify, predict
from serving.api.caller import Caller
from serving.api.image_guard import ImageGuard
from serving.api.model_status import get_model_metadata, get_model_status
from serving.engine.model import Model
from serving.operations.limits import Limits
from serving.operations.memory import Reservation
from serving.operations.metrics import Metrics
from serving.operations.request_log import RequestLog
from serving.protos import model_pb2
from serving.status import Code, ServingError, invalid_argument
from serving.versions.core import ServerCore
from serving.versions.traffic import Router


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
    _runtime: str = field(default="TF1", init=False)

    def _measured(self, name: str, api: str, caller: Caller, work: Callable[[], Any]) -> Any:
        """Count the request, and time it where it succeeds, as RecordRequestLatency does."""
        began = time.perf_counter()
        code = Code.OK
        try:
            with (
                telemetry.span(api, parent=caller.traceparent, kind="SERVER", attributes={"model": name}),
                self.gate.admit(caller),
            ):
                result = work()
            self.metrics.request_latency.observe(
                (time.perf_counter() - began) * 1e6, name, api, caller.entrypoint
            )
            return result
        except ServingError as error:
            code = error.code
            raise
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            self.metrics.request_count.add(name, code.name)

    def _timed(self, model: Model, api: str, run: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = run()
        self.metrics.runtime_latency.observe(
            (time.perf_counter() - began) * 1e6, model.name, api, self._runtime
        )
        return result

    def _timeout(self, caller: Caller) -> int:
        left = caller.timeout_ms()
        return left if self.enforce_timeout else 0

    def predict(
        self, request: Any, caller: Caller, api: str = "Predict", memory: Reservation | None = None
    ) -> Any:
        """PredictionService.Predict."""
        return self._measured(
            request.model_spec.name, api, caller, lambda: self._predict(request, caller, memory)
        )

    def _predict(self, request: Any, caller: Caller, memory: Reservation | None) -> Any:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        began = time.perf_counter()
        version = self.router.choose(request.model_spec) if self.router is not None else None
        found = (
            self.core.use(request.model_spec)
            if version is None
            else self.core.manager.use(request.model_spec.name, version)
        )
        with found as model:
            run = request if self.guard is None else self.guard.check(request, memory)
            response = self._timed(
                model,
                "Predict",
                lambda: predict.run_predict(
                    model,
                    run,
                    timeout_ms=self._timeout(caller),
                    as_content=self.as_content,
                    memory=memory,
                ),
            )
            if self.recorder is not None:
                self.recorder.record(model, request, response, caller, time.perf_counter() - began)
        if self.router is not None:
            self.router.shadow(request.model_spec, request, response)
        return response

    def classify(
        self, request: Any, caller: Caller, api: str = "Classify", memory: Reservation | None = None
    ) -> Any:
        """PredictionService.Classify."""
        return self._on_examples(
            request, request.model_spec, "Classify", classify.run_classify, caller, api, memory
        )

    def regress(
        self, request: Any, caller: Caller, api: str = "Regress", memory: Reservation | None = None
    ) -> Any:
        """PredictionService.Regress."""
        return self._on_examples(
            request, request.model_spec, "Regress", classify.run_regress, caller, api, memory
        )

    def multi_inference(
        self, request: Any, caller: Caller, api: str = "MultiInference", memory: Reservation | None = None
    ) -> Any:
        """PredictionService.MultiInference: the first task names the model."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        return self._on_examples(
            request, spec, "MultiInference", classify.run_multi_inference, caller, api, memory
        )

    def _on_examples(
        self,
        request: Any,
        spec: Any,
        kind: str,
        run: Callable[..., Any],
        caller: Caller,
        api: str,
        memory: Reservation | None,
    ) -> Any:
        """Answer a request of tf.Examples."""
        several = kind == "MultiInference"

        def work() -> Any:
            if not several and not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            if memory is not None:
                memory.take(classify.input_bytes(request))
            with self.core.use(spec) as model:
                if self.guard is not None:
                    self.guard.check_examples(classify.examples(request), memory)
                result = self._timed(
                    model, kind, lambda: run(model, request, timeout_ms=self._timeout(caller))
                )
                if not several:
                    self.metrics.example_count.add(model.name, by=classify.example_count(request))
                return result

        return self._measured(spec.name, api, caller, work)

    def gate_authenticate(self, caller: Caller) -> None:
        """Check the caller without taking one of the places that predictions compete for."""
        self.gate.authenticate(caller)

    def metadata(self, request: Any, caller: Caller) -> Any:
        """PredictionService.GetModelMetadata."""
        self.gate_authenticate(caller)
        return get_model_metadata(self.core, request)

    def status(self, request: Any, caller: Caller) -> Any:
        """ModelService.GetModelStatus."""
        self.gate_authenticate(caller)
        return get_model_status(self.core, request)
