"""What every request goes through, whichever way it came in: admission, routing, the run, metrics, the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from core import telemetry
from serving.api import classify, predict
from serving.api.model_status import get_model_metadata, get_model_status
from serving.engine.model import Model
from serving.operations.memory import Reservation
from serving.operations.metrics import Metrics
from serving.status import Code, ServingError, invalid_argument
from serving.versions.core import ServerCore


@dataclass(frozen=True)
class Caller:
    """Who asks, and how long the answer is of use."""

    entrypoint: str  # GRPC or REST
    peer: str = ""
    request_id: str = ""
    deadline: float | None = None  # time.monotonic()
    token: str | None = None
    device_id: str = ""
    traceparent: str = ""

    def seconds_left(self) -> float | None:
        """Seconds until the deadline, None for no limit. Raises as timeout_ms."""
        left = self.timeout_ms()
        return left / 1000 if left else None

    def timeout_ms(self) -> int:
        """Milliseconds left, 0 for no limit.

        Raises:
            ServingError: DEADLINE_EXCEEDED where the time is up: the work is not begun.
        """
        if self.deadline is None:
            return 0
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded before the request was run")
        return max(1, int(left * 1000))


class Gate(Protocol):
    """Decides about each request before any work."""

    def admit(self, caller: Caller) -> AbstractContextManager[object]:
        """Raises ServingError where the request is not let in."""

    def authenticate(self, caller: Caller) -> None:
        """Raises UNAUTHENTICATED where the caller may not ask at all."""


class Guard(Protocol):
    """Looks at a request's images before the graph does."""

    def check(self, request: Any, memory: Reservation | None) -> Any:
        """Return the PredictRequest to run; raises INVALID_ARGUMENT naming the index of a bad image."""

    def check_examples(self, examples: Iterable[Any], memory: Reservation | None) -> None:
        """Raises INVALID_ARGUMENT for a bad image in a tf.Example."""


class Recorder(Protocol):
    """Keeps what was predicted."""

    def record(self, model: Model, request: Any, response: Any, caller: Caller, seconds: float) -> None:
        """Must not block and must not raise."""


class Router(Protocol):
    """Chooses the version of a request that names none."""

    def choose(self, spec: Any) -> int | None:
        """The version to use, or None for what the ModelSpec says."""

    def shadow(self, spec: Any, request: Any, response: Any) -> None:
        """Repeat the request on the shadow version, if there is one; must not block and must not raise."""


@dataclass
class Service:
    """The RPCs, as plain functions that return a response message or raise ServingError."""

    core: ServerCore
    metrics: Metrics
    gate: Gate
    guard: Guard | None = None
    recorder: Recorder | None = None
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
        return self._measured(
            request.model_spec.name,
            api,
            caller,
            lambda: self._on_examples(request, "Classify", caller, classify.run_classify, memory),
        )

    def regress(
        self, request: Any, caller: Caller, api: str = "Regress", memory: Reservation | None = None
    ) -> Any:
        """PredictionService.Regress."""
        return self._measured(
            request.model_spec.name,
            api,
            caller,
            lambda: self._on_examples(request, "Regress", caller, classify.run_regress, memory),
        )

    def _on_examples(
        self,
        request: Any,
        api: str,
        caller: Caller,
        run: Callable[..., Any],
        memory: Reservation | None,
    ) -> Any:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        if memory is not None:
            memory.take(classify.input_bytes(request))
        with self.core.use(request.model_spec) as model:
            if self.guard is not None:
                self.guard.check_examples(classify.examples(request), memory)
            result = self._timed(model, api, lambda: run(model, request, timeout_ms=self._timeout(caller)))
            self.metrics.example_count.add(model.name, by=classify.example_count(request))
            return result

    def multi_inference(
        self, request: Any, caller: Caller, api: str = "MultiInference", memory: Reservation | None = None
    ) -> Any:
        """PredictionService.MultiInference."""
        spec = classify.multi_inference_spec(request)

        def work() -> Any:
            if memory is not None:
                memory.take(classify.input_bytes(request))
            with self.core.use(spec) as model:
                if self.guard is not None:
                    self.guard.check_examples(classify.examples(request), memory)
                return self._timed(
                    model,
                    api,
                    lambda: classify.run_multi_inference(model, request, timeout_ms=self._timeout(caller)),
                )

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
