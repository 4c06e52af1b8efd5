"""Canary and shadow by version label: which version answers a request that names none, and who is asked as well."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from core.settings import Frozen, first_fault
from core.tfserving.tensors import from_proto
from serving.api.predict import run_predict
from serving.operations.metrics import Metrics
from serving.status import ServingError, invalid_argument
from serving.versions.core import ServerCore

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0


class Canary(Frozen):
    """A label that gets part of the traffic."""

    label: str = Field(description="Version label of the canary")
    weight: float = Field(ge=0, le=1, description="Fraction of the requests it answers")


class Shadow(Frozen):
    """A label that is asked as well, and never answers."""

    label: str = Field(description="Version label of the shadow")
    fraction: float = Field(1.0, ge=0, le=1, description="Fraction of the requests that are repeated on it")
    tolerance: float = Field(
        1e-3, ge=0, description="Largest difference of a number that still counts as equal"
    )


class ModelTraffic(Frozen):
    """How the requests of one model that name no version are spread."""

    default: str | None = Field(None, description="Version label that answers; the latest version without it")
    canary: Canary | None = Field(None, description="Part of the traffic for another label")
    shadow: Shadow | None = Field(None, description="A label to compare with")


class TrafficConfig(Frozen):
    """The file of --traffic_config_file."""

    models: dict[str, ModelTraffic] = Field(description="Traffic by model name")


def read_traffic(path: str | Path) -> TrafficConfig:
    """Read the JSON file.

    Raises:
        ServingError: INVALID_ARGUMENT naming the file and the key.
    """
    try:
        return TrafficConfig.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise invalid_argument(f"--traffic_config_file {path}: {error.strerror}") from error
    except ValidationError as error:
        raise invalid_argument(f"--traffic_config_file {path}: {first_fault(error)}") from error


class Router:
    """Chooses versions, and repeats requests on the shadow in a thread of its own."""

    def __init__(
        self, config: TrafficConfig, core: ServerCore, metrics: Metrics, queue_size: int = 64
    ) -> None:
        self._models: Mapping[str, ModelTraffic] = config.models
        self._core = core
        self._metrics = metrics
        self._queue: queue.Queue[tuple[Shadow, Any, Any] | None] = queue.Queue(queue_size)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def choose(self, spec: Any) -> int | None:
        """The version for a request that names none; None where the ModelSpec decides."""
        traffic = self._models.get(spec.name)
        if traffic is None or spec.WhichOneof("version_choice") is not None:
            return None
        if traffic.canary is not None and random.random() < traffic.canary.weight:  # noqa: S311 - no secret
            version = self._available(spec.name, traffic.canary.label)
            if version is not None:
                self._metrics.routed.add(spec.name, "canary")
                return version
        self._metrics.routed.add(spec.name, "default")
        return self._available(spec.name, traffic.default) if traffic.default is not None else None

    def _available(self, name: str, label: str) -> int | None:
        """A label's version where it is served: a canary that is not there must not lose requests."""
        version = self._core.labels(name).get(label)
        return version if version in self._core.manager.available().get(name, []) else None

    def shadow(self, spec: Any, request: Any, response: Any) -> None:
        """Queue a repetition; one that finds no room is counted and forgotten."""
        traffic = self._models.get(spec.name)
        if traffic is None or traffic.shadow is None or spec.WhichOneof("version_choice") is not None:
            return
        if random.random() >= traffic.shadow.fraction:  # noqa: S311 - no secret
            return
        try:
            self._queue.put_nowait((traffic.shadow, request, response))
        except queue.Full:
            self._metrics.shadow.add(spec.name, "dropped")

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            shadow, request, response = item
            name = request.model_spec.name
            try:
                self._metrics.shadow.add(name, self._compare(shadow, request, response))
            except ServingError as error:
                self._metrics.shadow.add(name, "failed")
                log.info("shadow of %s failed: %s", name, error.to_string())
            except Exception:
                self._metrics.shadow.add(name, "failed")
                log.exception("shadow of %s broke", name)

    def _compare(self, shadow: Shadow, request: Any, response: Any) -> str:
        version = self._available(request.model_spec.name, shadow.label)
        if version is None:
            return "unavailable"
        if version == response.model_spec.version.value:
            return "same_version"
        with self._core.manager.use(request.model_spec.name, version) as model:
            other = run_predict(model, request)
        for key, proto in response.outputs.items():
            if key == "model_version":
                continue
            if key not in other.outputs:
                return "differs"
            mine, theirs = from_proto(proto), from_proto(other.outputs[key])
            if mine.shape != theirs.shape:
                return "differs"
            if mine.dtype == object or mine.dtype == np.bool_:
                if not np.array_equal(mine, theirs):
                    return "differs"
            elif not np.allclose(mine, theirs, rtol=0, atol=shadow.tolerance, equal_nan=True):
                return "differs"
        return "agrees"

    def close(self) -> None:
        """Finish the queue and stop."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_CLOSE_SECONDS)
        self._thread.join(_CLOSE_SECONDS)
