"""Predict, as tensorflow_serving/servables/tensorflow/predict_util.cc does it."""

from __future__ import annotations

from typing import Any

from serving.engine.model import CLASSIFY_METHOD, DEFAULT_SIGNATURE, PREDICT_METHOD, REGRESS_METHOD, Model
from serving.engine.tensors import Tensor, check_size, fill_proto, from_proto
from serving.operations.memory import Reservation
from serving.protos import predict_pb2
from serving.status import failed_precondition, internal, invalid_argument


def _set_text(names: Any) -> str:
    return ",".join(sorted(names))


def find_signature(model: Model, name: str) -> tuple[str, Any]:
    """The signature of this name (the default one for "") and what it is called.

    Raises:
        ServingError: FAILED_PRECONDITION; INTERNAL where its method is none of the three.
    """
    key = name or DEFAULT_SIGNATURE
    signature = model.signatures.get(key)
    if signature is None:
        raise failed_precondition(f'Serving signature key "{key}" not found.')
    methods = (PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)
    if model.checks_methods and signature.method_name not in methods:
        raise internal(
            f"Expected prediction signature method_name to be one of {{{PREDICT_METHOD}, {CLASSIFY_METHOD}, "
            f"{REGRESS_METHOD}}}. Was: {signature.method_name}"
        )
    return key, signature


def _feeds(signature: Any, request: Any, memory: Reservation | None) -> dict[str, Tensor]:
    sent, declared = set(request.inputs), set(signature.inputs)
    defaults = set(getattr(signature, "defaults", {}))
    extra, missing = sent - declared, declared - sent - defaults
    if extra or missing:
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(declared)} len({{{_set_text(sent)}}}) != "
            f"len({{{_set_text(declared)}}}). Sent extra: {{{_set_text(extra)}}}. Missing but required: "
            f"{{{_set_text(missing)}}}."
        )
    feeds: dict[str, Tensor] = {}
    for alias, proto in request.inputs.items():
        needed = check_size(proto, alias)
        if memory is not None:
            memory.take(needed)
        feeds[signature.inputs[alias].name] = from_proto(proto, alias)
    for alias in declared - sent:
        feeds[signature.inputs[alias].name] = from_proto(signature.defaults[alias], alias)
    return feeds


def _fetches(signature: Any, request: Any) -> list[tuple[str, str]]:
    aliases: list[str] = []
    for alias in request.output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{_set_text(signature.outputs)}}}."
            )
        if alias in aliases:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        aliases.append(alias)
    return [(alias, signature.outputs[alias].name) for alias in aliases or sorted(signature.outputs)]


def run_predict(
    model: Model,
    request: Any,
    *,
    timeout_ms: int = 0,
    as_content: bool = False,
    memory: Reservation | None = None,
) -> Any:
    """Answer a PredictRequest with a PredictResponse."""
    key, signature = find_signature(model, request.model_spec.signature_name)
    feeds = _feeds(signature, request, memory)
    fetches = _fetches(signature, request)
    outputs = model.run(feeds, [name for _, name in fetches], timeout_ms)
    response = predict_pb2.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = key
    response.model_spec.version.value = model.version
    for (alias, _), tensor in zip(fetches, outputs, strict=True):
        fill_proto(tensor, response.outputs[alias], as_content=as_content)
    return response
