"""Batches formed by TensorFlow's C++ batch scheduler, hung into the session a SavedModel was loaded into.

`tf.raw_ops.BatchFunction` is the scheduler TF Serving's BatchingSession uses, as an operation. The signature's
subgraph becomes a function (variables and tables stay outside and are captured), and a BatchFunction node that
calls it is added to the same graph: a request feeds the placeholders as before and fetches that node instead, so
queueing, concatenation, padding to allowed sizes and splitting all happen in C++.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.protos.tensor_pb2 import DT_INT32, DT_RESOURCE, DT_VARIANT
from core.tfserving.tensors import Array
from serving.engine.capi import Input, Output, Status, library
from serving.engine.session import Plan, Session
from serving.engine.tensors import from_array, is_reference


@dataclass(frozen=True)
class BatchingParameters:
    """session_bundle_config.proto's BatchingParameters; the defaults are SharedBatchScheduler's."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 2
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    @property
    def splits(self) -> bool:
        """Whether a request may run as several batches."""
        return self.enable_large_batch_splitting or 0 < self.max_execution_batch_size < self.max_batch_size

    @property
    def execution_limit(self) -> int:
        """Rows of the largest batch that is run."""
        return self.max_execution_batch_size or self.max_batch_size


class NotBatchableError(Exception):
    """A signature whose graph cannot become a function; it is run unbatched."""


_Key = tuple[int, int]


def _key(output: Output) -> _Key:
    return (output.operation, output.index)


def batched_plan(
    session: Session, name: str, feeds: Sequence[str], fetches: Sequence[str], parameters: BatchingParameters
) -> Plan:
    """Add a BatchFunction for these tensors to the session's graph and plan runs through it.

    The plan fetches two more tensors than asked for, [batch] each: the time (seconds, float64) at which the
    batch began and the size (int32) it was run with, padding included.

    Raises:
        NotBatchableError: where the subgraph holds what a function cannot (a TF1 reference that is written to).
    """
    graph = session.graph
    inputs = [session.output(n) for n in feeds]
    outputs = [
        _add(graph, "Identity", f"melanosizer_batch/{name}/out_{i}", [session.output(n)])
        for i, n in enumerate(fetches)
    ]
    outputs += _batch_facts(graph, name, inputs[0])
    body, captured = _closure(inputs, outputs)
    function = _to_function(graph, name, body, [*inputs, *captured], outputs)
    operation = _batch_function(graph, name, function, inputs, captured, outputs, parameters)
    return Plan(inputs, [Output(operation, i) for i in range(len(outputs))])


def _add(graph: int, kind: str, name: str, inputs: Sequence[Output], **attributes: Any) -> Output:
    """Add one operation and return its first output."""
    api = library()
    description = api.TF_NewOperation(graph, kind.encode(), name.encode())
    for one in inputs:
        api.TF_AddInput(description, one)
    with Status() as status:
        for key, value in attributes.items():
            if isinstance(value, int):
                api.TF_SetAttrType(description, key.encode(), value)
            else:
                api.TF_SetAttrTensor(description, key.encode(), value.handle, status.handle)
                status.check()
        operation = api.TF_FinishOperation(description, status.handle)
        status.check()
    return Output(operation, 0)


def _constant(graph: int, name: str, value: Array) -> Output:
    return _add(graph, "Const", name, [], value=from_array(value), dtype=DT_INT32)


def _batch_facts(graph: int, name: str, first: Output) -> list[Output]:
    """The start time and the size of the batch, once for each row, so that the scheduler splits them as well."""
    at = f"melanosizer_batch/{name}/"
    shape = _add(graph, "Shape", at + "shape", [first])
    begin = _constant(graph, at + "begin", np.array([0], np.int32))
    one = _constant(graph, at + "one", np.array([1], np.int32))
    rows = _add(graph, "Slice", at + "rows", [shape, begin, one])
    count = _add(graph, "Squeeze", at + "count", [rows])
    now = _add(graph, "Timestamp", at + "now", [])
    return [_add(graph, "Fill", at + "started", [rows, now]), _add(graph, "Fill", at + "size", [rows, count])]


def _inputs_of(operation: int) -> list[Output]:
    api = library()
    return [api.TF_OperationInput(Input(operation, i)) for i in range(api.TF_OperationNumInputs(operation))]


def _control_inputs_of(operation: int) -> list[int]:
    api = library()
    count = api.TF_OperationNumControlInputs(operation)
    found = (c_void_p * max(count, 1))()
    api.TF_OperationGetControlInputs(operation, found, count)
    return [handle for handle in found[:count] if handle]


def _closure(inputs: Sequence[Output], outputs: Sequence[Output]) -> tuple[list[int], list[Output]]:
    """The operations between inputs and outputs, and the tensors they take from outside.

    Handles of variables and tables are taken from outside, because a function would make its own. A TF1
    variable is a reference, which no function accepts: it is cut after the operation that reads it.
    """
    api = library()
    fed = {_key(one) for one in inputs}
    body: dict[int, None] = {}
    captured: dict[_Key, Output] = {}
    waiting = [one.operation for one in outputs]
    while waiting:
        operation = waiting.pop()
        if operation in body:
            continue
        body[operation] = None
        for one in _inputs_of(operation):
            if _key(one) in fed:
                continue
            dtype = api.TF_OperationOutputType(one)
            producers = _inputs_of(one.operation)
            if is_reference(dtype):
                raise NotBatchableError(f"{api.TF_OperationName(operation).decode()} takes a TF1 reference")
            is_handle = not producers and dtype in (DT_RESOURCE, DT_VARIANT)
            reads_reference = any(is_reference(api.TF_OperationOutputType(p)) for p in producers)
            if is_handle or reads_reference:
                captured[_key(one)] = one
            else:
                waiting.append(one.operation)
        waiting.extend(_control_inputs_of(operation))
    return list(body), list(captured.values())


def _to_function(
    graph: int, name: str, body: Sequence[int], inputs: Sequence[Output], outputs: Sequence[Output]
) -> bytes:
    api = library()
    title = f"melanosizer_batch_{name}".encode()
    nodes = len(body), (c_void_p * len(body))(*body)
    taken, given = ((len(some), (Output * len(some))(*some)) for some in (inputs, outputs))
    with Status() as status:
        function = api.TF_GraphToFunction(
            graph, title, 0, *nodes, *taken, *given, None, None, None, status.handle
        )
        try:
            status.check()
        except Exception as error:
            raise NotBatchableError(str(error)) from error
        api.TF_GraphCopyFunction(graph, function, None, status.handle)
        api.TF_DeleteFunction(function)
        status.check()
    return title


def _batch_function(
    graph: int,
    name: str,
    function: bytes,
    inputs: Sequence[Output],
    captured: Sequence[Output],
    outputs: Sequence[Output],
    parameters: BatchingParameters,
) -> int:
    api = library()
    description = api.TF_NewOperation(graph, b"BatchFunction", f"melanosizer_batch/{name}/run".encode())
    api.TF_AddInputList(description, (Output * len(inputs))(*inputs), len(inputs))
    api.TF_AddInputList(description, (Output * max(len(captured), 1))(*captured), len(captured))
    api.TF_SetAttrFuncName(description, b"f", function, len(function))
    types = [api.TF_OperationOutputType(one) for one in outputs]
    api.TF_SetAttrTypeList(description, b"Tout", (c_int * len(types))(*types), len(types))
    for key, value in (
        (b"num_batch_threads", parameters.num_batch_threads),
        (b"max_batch_size", parameters.max_batch_size),
        (b"batch_timeout_micros", parameters.batch_timeout_micros),
        (b"max_enqueued_batches", parameters.max_enqueued_batches),
    ):
        api.TF_SetAttrInt(description, key, value)
    sizes = parameters.allowed_batch_sizes
    if parameters.splits and not sizes:
        # The operation has no limit of its own for what it runs: the largest allowed size is it.
        sizes = tuple(range(1, parameters.execution_limit + 1))
    api.TF_SetAttrIntList(
        description, b"allowed_batch_sizes", (c_int64 * max(len(sizes), 1))(*sizes), len(sizes)
    )
    api.TF_SetAttrBool(description, b"enable_large_batch_splitting", int(parameters.splits))
    queue = c_char_p(name.encode())
    for attribute in (b"shared_name", b"batching_queue"):
        api.TF_SetAttrString(description, attribute, queue, len(name.encode()))
    with Status() as status:
        operation: int = api.TF_FinishOperation(description, status.handle)
        status.check()
    return operation
