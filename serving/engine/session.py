"""A SavedModel in TensorFlow's own C++ session: loaded and run by the code that TF Serving loads and runs it with."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from ctypes import c_char_p, c_void_p
from pathlib import Path
from typing import Any

from serving.engine.capi import Output, Status, library
from serving.engine.tensors import Tensor
from serving.protos import ConfigProto, RunOptions
from serving.status import ServingError, invalid_argument, not_found


class Plan:
    """Which tensors to feed and which to fetch, resolved once."""

    __slots__ = ("feeds", "fetches", "n_feeds", "n_fetches")

    def __init__(self, feeds: Sequence[Output], fetches: Sequence[Output]) -> None:
        self.n_feeds, self.n_fetches = len(feeds), len(fetches)
        self.feeds = (Output * max(self.n_feeds, 1))(*feeds)
        self.fetches = (Output * max(self.n_fetches, 1))(*fetches)


class Session:
    """One loaded SavedModel. Thread-safe; close it once nobody runs it any more."""

    def __init__(
        self, folder: Path, tags: Sequence[str] = ("serve",), intra_op: int = 0, inter_op: int = 0
    ) -> None:
        """Load `folder` with `tags`, on so many threads within and between operations; 0 is TensorFlow's choice.

        Raises:
            ServingError: with the code and the text of TensorFlow's loader.
        """
        api = library()
        settings = ConfigProto(intra_op_parallelism_threads=intra_op, inter_op_parallelism_threads=inter_op)
        # A thread that looks for more work for a while takes the core from the one that sends the answer.
        settings.experimental.disable_thread_spinning = True
        # Each signature's graph, with its weights, kept for nobody who asks. TensorFlow Serving turns it off, too.
        settings.experimental.disable_output_partition_graphs = True
        config = settings.SerializeToString()
        options = api.TF_NewSessionOptions()
        self.graph: int = api.TF_NewGraph()
        self._session: int | None = None
        self._lock = threading.Lock()
        wanted = (c_char_p * len(tags))(*[tag.encode() for tag in tags])
        try:
            with Status() as status:
                api.TF_SetConfig(options, config, len(config), status.handle)
                status.check()
                path = str(folder).encode()
                self._session = api.TF_LoadSessionFromSavedModel(
                    options, None, path, wanted, len(tags), self.graph, None, status.handle
                )
                status.check()
        except ServingError:
            self.close()
            raise
        finally:
            api.TF_DeleteSessionOptions(options)

    def output(self, name: str) -> Output:
        """Resolve a tensor name such as `serving_default_x:0`; NOT_FOUND where the graph has none."""
        if not name:
            raise invalid_argument("The signature has an input or output without a tensor name")
        operation, _, index = name.partition(":")
        handle = library().TF_GraphOperationByName(self.graph, operation.encode())
        if not handle:
            raise not_found(
                f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
            )
        if index and not index.isdigit():
            raise invalid_argument(f"Malformed tensor name {name}")
        return Output(handle, int(index or 0))

    def plan(self, feeds: Sequence[str], fetches: Sequence[str]) -> Plan:
        """Resolve names once, for many runs."""
        return Plan([self.output(n) for n in feeds], [self.output(n) for n in fetches])

    def run(self, plan: Plan, feeds: Sequence[Tensor], timeout_ms: int = 0) -> list[Tensor]:
        """Run once; blocks without the interpreter's lock. `timeout_ms` 0 means none."""
        api = library()
        inputs = (c_void_p * max(plan.n_feeds, 1))(*[tensor.handle for tensor in feeds])
        outputs = (c_void_p * max(plan.n_fetches, 1))()
        options: Any = None
        if timeout_ms > 0:
            data = RunOptions(timeout_in_ms=timeout_ms).SerializeToString()
            options = api.TF_NewBufferFromString(data, len(data))
        fed = plan.feeds, inputs, plan.n_feeds
        fetched = plan.fetches, outputs, plan.n_fetches
        try:
            with Status() as status:
                api.TF_SessionRun(self._session, options, *fed, *fetched, None, 0, None, status.handle)
                results = [Tensor(handle) for handle in outputs[: plan.n_fetches] if handle]
                status.check()
        finally:
            if options:
                api.TF_DeleteBuffer(options)
        return results

    def close(self) -> None:
        """Give everything back. Nothing may run or be started afterwards."""
        api = library()
        with self._lock:
            session, graph = self._session, self.graph
            self._session, self.graph = None, 0
        with Status() as status:
            if session:
                api.TF_CloseSession(session, status.handle)
                api.TF_DeleteSession(session, status.handle)
            if graph:
                api.TF_DeleteGraph(graph)
