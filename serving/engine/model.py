"""One loaded version of a model: its session, its signatures, and how a signature is run."""

from __future__ import annotations

import copy
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from serving.engine.batching import BatchingParameters, NotBatchableError, batched_plan
from serving.engine.session import Plan, Session
from serving.engine.tensors import Tensor
from serving.operations.metrics import Metrics
from serving.protos import MetaGraphDef, SavedModel
from serving.status import Code, ServingError, invalid_argument, not_found

log = logging.getLogger(__name__)

DEFAULT_SIGNATURE = "serving_default"
PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

_SCHEDULER_REFUSES = re.compile(r"Task size \d+ is larger than|Batching input tensors")
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})
# What TensorFlow appends to an error inside the node this server added: TF Serving has no such node.
_OWN_NODE = re.compile(r"\s*\[\[\{\{node melanosizer_batch/[^}]*\}\}\]\]")


@dataclass(frozen=True)
class LoadOptions:
    """How models are loaded."""

    tags: tuple[str, ...] = ("serve",)
    threads: tuple[int, int] = (0, 0)  # within and between operations; 0 is TensorFlow's choice
    batching: BatchingParameters | None = None
    metrics: Metrics | None = None
    # For unbatched runs of all models: each needs the activations of a whole model in memory.
    slots: threading.BoundedSemaphore | None = None
    checks_methods: bool = False


class Model:
    """A loaded SavedModel under its name and version."""

    def __init__(self, name: str, version: int, folder: Path, options: LoadOptions) -> None:
        """Load it.

        Raises:
            ServingError: with TensorFlow's own code and text.
        """
        self.name = name
        self.version = version
        self.folder = folder
        meta_graph = read_meta_graph(folder, options.tags)
        # Copied: a part of a message keeps the whole in memory, and this one holds the weights.
        self.signatures: dict[str, Any] = copy.deepcopy(dict(meta_graph.signature_def))
        incomplete = _is_incomplete(folder, meta_graph)
        del meta_graph
        self.checks_methods = options.checks_methods
        self._metrics = options.metrics
        self._slots = options.slots
        self._session = Session(folder, options.tags, *options.threads)
        if incomplete:
            self._session.close()
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"{folder} holds a graph with variables, and no variables/variables.index: is it still being copied?",
            )
        self._plans: dict[tuple[tuple[str, ...], tuple[str, ...]], Plan] = {}
        self._batched: dict[tuple[frozenset[str], frozenset[str]], tuple[Plan, list[str], list[str]]] = {}
        if options.batching is not None:
            self._add_batching(options.batching)

    def _add_batching(self, parameters: BatchingParameters) -> None:
        for key, signature in self.signatures.items():
            feeds = sorted({info.name for info in signature.inputs.values()})
            fetches = sorted({info.name for info in signature.outputs.values()})
            wanted = (frozenset(feeds), frozenset(fetches))
            if not feeds or not fetches or wanted in self._batched:
                continue
            try:
                plan = batched_plan(self._session, re.sub(r"\W", "_", key), feeds, fetches, parameters)
            except (NotBatchableError, ServingError) as error:
                log.warning(
                    "signature %s of %s version %d is served without batching: %s",
                    key,
                    self.name,
                    self.version,
                    error,
                )
                continue
            self._batched[wanted] = (plan, feeds, fetches)

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str], timeout_ms: int = 0) -> list[Tensor]:
        """Run the graph: tensor names to tensors in, one tensor a fetched name out, in the order asked for.

        As in TF Serving, a run is batched only where it feeds and fetches exactly what a signature declares.
        """
        batched = self._batched.get((frozenset(feeds), frozenset(fetches)))
        if batched is not None:
            return self._run_batched(*batched, feeds, fetches, timeout_ms)
        return self._run_alone(feeds, fetches, timeout_ms)

    def _run_alone(
        self, feeds: Mapping[str, Tensor], fetches: Sequence[str], timeout_ms: int
    ) -> list[Tensor]:
        names = tuple(feeds)
        key = (names, tuple(fetches))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._session.plan(names, fetches)
        tensors = [feeds[n] for n in names]
        seconds = timeout_ms / 1000 if timeout_ms > 0 else None
        if self._slots is not None and not self._slots.acquire(timeout=seconds):
            raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded while waiting to be run")
        try:
            return self._session.run(plan, tensors, timeout_ms)
        finally:
            if self._slots is not None:
                self._slots.release()

    def _run_batched(
        self,
        plan: Plan,
        feed_names: Sequence[str],
        fetch_names: Sequence[str],
        feeds: Mapping[str, Tensor],
        fetches: Sequence[str],
        timeout_ms: int,
    ) -> list[Tensor]:
        _check_batch(feeds)
        queued = time.time()
        try:
            results = self._session.run(plan, [feeds[n] for n in feed_names], timeout_ms)
        except ServingError as error:
            if error.code is Code.INVALID_ARGUMENT and not _SCHEDULER_REFUSES.match(error.message):
                # The graph failed, perhaps on what another caller sent: a batch fails as a whole. Alone, this
                # request gets its own answer or its own error.
                return self._run_alone(feeds, fetches, timeout_ms)
            raise ServingError(
                error.code,
                _OWN_NODE.sub("", error.message),
                retry_after_seconds=error.retry_after_seconds,
            ) from None
        by_name = dict(zip(fetch_names, results, strict=False))
        if self._metrics is not None:
            started, size = results[-2].numpy(), results[-1].numpy()
            if started.size:
                self._metrics.batched(max(0.0, float(started[0]) - queued), int(size[0]))
        return [by_name[name] for name in fetches]

    def close(self) -> None:
        """Unload. No run may be under way."""
        self._session.close()


def read_meta_graph(folder: Path, tags: Sequence[str]) -> MetaGraphDef:
    """The meta graph with exactly these tags, before any loader drops what it does not want.

    Raises:
        ServingError: NOT_FOUND without a SavedModel or a meta graph of these tags, DATA_LOSS if it is unreadable.
    """
    model = SavedModel()
    binary, text = folder / "saved_model.pb", folder / "saved_model.pbtxt"
    try:
        if binary.exists():
            model.ParseFromString(binary.read_bytes())
        elif text.exists():
            text_format.Parse(text.read_text(), model)
        else:
            raise not_found(
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {folder}. "
                "Check that the directory exists and that you have the right permissions for accessing it."
            )
    except (OSError, ValueError, DecodeError, text_format.ParseError) as error:
        raise ServingError(Code.DATA_LOSS, f"Can't parse {folder} as binary proto: {error}") from error
    for meta_graph in model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return meta_graph
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available "
        "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    )


def _is_incomplete(folder: Path, meta_graph: MetaGraphDef) -> bool:
    """A copy that has only begun: the loader takes a graph without its variables, and it fails at each run."""
    return (
        any(node.op in _VARIABLES for node in meta_graph.graph_def.node)
        and bool(meta_graph.saver_def.restore_op_name)
        and not (folder / "variables" / "variables.index").is_file()
    )


def _check_batch(feeds: Mapping[str, Tensor]) -> None:
    """tensorflow_serving/batching/batching_util.h, ComputeTensorBatchSize: its checks in its words."""
    size: int | None = None
    for tensor in feeds.values():
        shape = tensor.shape
        if not shape:
            raise invalid_argument("Batching Run() input tensors must have at least one dimension")
        if size is not None and shape[0] != size:
            raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
        size = shape[0]
