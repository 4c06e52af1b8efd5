"""Classify, Regress and MultiInference (classifier.cc, regressor.cc, multi_inference.cc in servables/tensorflow)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from core.protos import tensor_pb2
from core.tfserving.tensors import Array
from serving.engine.model import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD, Model
from serving.engine.tensors import Tensor, from_proto, shape_text
from serving.protos import DataType, TensorProto, classification_pb2, inference_pb2, regression_pb2
from serving.status import invalid_argument, unimplemented

_INPUTS, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


def examples(request: Any) -> Sequence[Any]:
    """The examples of an Input, without its context."""
    kind = request.input.WhichOneof("kind")
    return getattr(request.input, kind).examples if kind else ()


def _context(request: Any) -> Any:
    """The Example that stands before each of the others; empty without one."""
    return request.input.example_list_with_context.context


def all_examples(request: Any) -> Iterator[Any]:
    """The examples of an Input, its context first; one at a time, for Python's objects take far more than the message."""
    if request.input.HasField("example_list_with_context"):
        yield _context(request)
    yield from examples(request)


def input_bytes(request: Any) -> int:
    """How many bytes the examples' tensor takes: a context is copied before each of them."""
    return 2 * (request.input.ByteSize() + _context(request).ByteSize() * len(examples(request)))


def examples_tensor(request: Any) -> Tensor:
    """The Input as a string tensor of serialized Examples; a context is put before each (util.cc).

    Raises:
        ServingError: INVALID_ARGUMENT `Input is empty.`
    """
    if not examples(request):
        raise invalid_argument("Input is empty.")
    proto = TensorProto(dtype=tensor_pb2.DT_STRING)
    context = _context(request).SerializeToString()
    proto.string_val.extend(context + one.SerializeToString() for one in examples(request))
    proto.tensor_shape.dim.add(size=len(proto.string_val))
    return from_proto(proto, _INPUTS)


def _feed(model: Model, signature: Any, kind: str, method: str, outputs: range, miscounted: str) -> str:
    """The tensor to feed; INVALID_ARGUMENT `miscounted` if there are not so many `outputs`."""
    # Only if --enable_signature_method_name_check: TF2 calls every method predict.
    if model.checks_methods and signature.method_name != method:
        raise invalid_argument(
            f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in outputs:
        raise invalid_argument(miscounted)
    if _INPUTS not in signature.inputs:
        raise invalid_argument(f"No {kind} inputs found in SignatureDef: {signature}")
    name: str = signature.inputs[_INPUTS].name
    return name


def _classify_tensors(model: Model, signature: Any) -> tuple[str, list[str]]:
    """PreProcessClassification: the tensors to feed and to fetch."""
    miscounted = f"Expected one or two output Tensors, found {len(signature.outputs)}"
    feed = _feed(model, signature, "classification", CLASSIFY_METHOD, range(1, 3), miscounted)
    fetches = [signature.outputs[key].name for key in (_CLASSES, _SCORES) if key in signature.outputs]
    if not fetches:
        raise invalid_argument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}"
        )
    return feed, fetches


def _regress_tensors(model: Model, signature: Any) -> tuple[str, list[str]]:
    """PreProcessRegression."""
    feed = _feed(model, signature, "regression", REGRESS_METHOD, range(1, 2), "Expected one output Tensor.")
    if _OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature}")
    return feed, [signature.outputs[_OUTPUTS].name]


def _checked(tensor: Tensor, what: str, dtype: int, count: int) -> Array:
    shape = tensor.shape
    if len(shape) != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(shape)}")
    if tensor.dtype != dtype:
        raise invalid_argument(
            f"Expected {what} Tensor of {DataType.Name(dtype)}. Got: {DataType.Name(tensor.dtype)}"
        )
    if shape[0] != count:
        raise invalid_argument(f"Expected {what} output batch size of {count}. Got: {shape[0]}")
    return tensor.numpy()


def _fill_classes(signature: Any, count: int, by_name: dict[str, Tensor], result: Any) -> None:
    """PostProcessClassificationResult."""
    classes: Array | None = None
    scores: Array | None = None
    if _CLASSES in signature.outputs:
        classes = _checked(by_name[signature.outputs[_CLASSES].name], "classes", tensor_pb2.DT_STRING, count)
    if _SCORES in signature.outputs:
        scores = _checked(by_name[signature.outputs[_SCORES].name], "scores", tensor_pb2.DT_FLOAT, count)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    known = classes if classes is not None else scores
    width = known.shape[1] if known is not None else 0
    for row in range(count):
        one = result.classifications.add()
        for column in range(width):
            cell = one.classes.add()
            if classes is not None:
                try:
                    cell.label = classes[row, column].decode()
                except UnicodeDecodeError as error:
                    raise invalid_argument(
                        f"class label {row},{column} is not UTF-8 text: {error}"
                    ) from error
            if scores is not None:
                cell.score = float(scores[row, column])


def _fill_values(signature: Any, count: int, by_name: dict[str, Tensor], result: Any) -> None:
    """PostProcessRegressionResult."""
    tensor = by_name[signature.outputs[_OUTPUTS].name]
    shape = tensor.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{shape_text(shape)}"
        )
    if shape[0] != count:
        raise invalid_argument(f"Input batch size did not match output batch size: {count} vs. {shape[0]}")
    if tensor.dtype != tensor_pb2.DT_FLOAT:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {DataType.Name(tensor.dtype)}")
    for value in np.ravel(tensor.numpy()):
        result.regressions.add().value = float(value)


def _fill_spec(response: Any, model: Model, spec: Any) -> None:
    response.model_spec.name = spec.name
    response.model_spec.signature_name = spec.signature_name or DEFAULT_SIGNATURE
    response.model_spec.version.value = model.version


# What a method feeds and fetches, and how its result is filled.
_METHODS = {
    CLASSIFY_METHOD: (_classify_tensors, _fill_classes),
    REGRESS_METHOD: (_regress_tensors, _fill_values),
}


def run(model: Model, request: Any, timeout_ms: int = 0) -> Any:
    """Answer a ClassificationRequest, a RegressionRequest or a MultiInferenceRequest."""
    if isinstance(request, inference_pb2.MultiInferenceRequest):
        return _run_tasks(model, request, timeout_ms)
    response: Any
    if isinstance(request, classification_pb2.ClassificationRequest):
        method, response = CLASSIFY_METHOD, classification_pb2.ClassificationResponse()
    else:
        method, response = REGRESS_METHOD, regression_pb2.RegressionResponse()
    key = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(key)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {key}")
    tensors_of, fill = _METHODS[method]
    feed, fetches = tensors_of(model, signature)
    tensor = examples_tensor(request)
    outputs = model.run({feed: tensor}, fetches, timeout_ms)
    _fill_spec(response, model, request.model_spec)
    response.result.SetInParent()
    fill(signature, tensor.shape[0], dict(zip(fetches, outputs, strict=True)), response.result)
    return response


def _run_tasks(model: Model, request: Any, timeout_ms: int) -> Any:
    """Several classify and regress signatures over one input in one run."""
    name = feed = ""
    seen: set[str] = set()
    fetches: set[str] = set()
    tasks: list[tuple[Any, Any]] = []
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        name = name or spec.name
        if name != spec.name:
            raise invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        key = spec.signature_name or DEFAULT_SIGNATURE
        if key in seen:
            raise invalid_argument(f"Duplicate evaluation of signature: {key}")
        seen.add(key)
        signature = model.signatures.get(key)
        if signature is None:
            raise invalid_argument(f"Requested signature not found in model graph: {key}")
        if task.method_name not in _METHODS:
            raise unimplemented(f"Unsupported signature method_name: {task.method_name}")
        one_feed, one_fetches = _METHODS[task.method_name][0](model, signature)
        feed = feed or one_feed
        if feed != one_feed:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
        fetches.update(one_fetches)
        tasks.append((task, signature))
    tensor = examples_tensor(request)
    names = sorted(fetches)
    by_name = dict(zip(names, model.run({feed: tensor}, names, timeout_ms), strict=True))
    response = inference_pb2.MultiInferenceResponse()
    for task, signature in tasks:
        result = response.results.add()
        _fill_spec(result, model, task.model_spec)
        is_classify = task.method_name == CLASSIFY_METHOD
        filled = result.classification_result if is_classify else result.regression_result
        filled.SetInParent()
        _METHODS[task.method_name][1](signature, tensor.shape[0], by_name, filled)
    return response
