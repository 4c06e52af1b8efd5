"""Classify, Regress and MultiInference over gRPC."""

from __future__ import annotations

import tracemalloc

import grpc
import pytest

from serving.api.classify import all_examples
from serving.protos import classification_pb2, inference_pb2, regression_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def fill(request, values, name="half", signature="", context=None):
    spec = request.tasks.add().model_spec if hasattr(request, "tasks") else request.model_spec
    spec.name, spec.signature_name = name, signature
    examples = request.input.example_list
    if context is not None:
        request.input.example_list_with_context.context.features.feature["x"].float_list.value.append(context)
        examples = request.input.example_list_with_context
    for value in values:
        example = examples.examples.add()
        if value is not None:
            example.features.feature["x"].float_list.value.append(value)
    return request


def classify(*args, **kwargs):
    return fill(classification_pb2.ClassificationRequest(), *args, **kwargs)


def regress(*args, **kwargs):
    return fill(regression_pb2.RegressionRequest(), *args, **kwargs)


def multi(values, *tasks):
    request = inference_pb2.MultiInferenceRequest()
    for name, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = name, signature
    for value in values:
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return request


def test_classify_answers_scores_with_empty_labels(server):
    response = server.prediction.Classify(classify([1.0, 2.0], signature="classify_x_to_y"))
    assert [[(c.label, c.score) for c in row.classes] for row in response.result.classifications] == [
        [("", 4.5)],
        [("", 5.0)],
    ]
    assert (response.model_spec.name, response.model_spec.signature_name) == ("half", "classify_x_to_y")
    assert response.model_spec.version.value == 3


def test_classify_answers_labels_and_scores(server):
    response = server.prediction.Classify(classify([1.0], signature="classify_both"))
    (one,) = response.result.classifications[0].classes
    assert (one.label, one.score) == ("positive", 4.5)


def test_regress_answers_values(server):
    response = server.prediction.Regress(regress([1.0, 2.0], signature="regress_x_to_y"))
    assert [one.value for one in response.result.regressions] == [4.5, 5.0]


def test_a_context_is_merged_into_each_example(server):
    response = server.prediction.Regress(regress([None, None], signature="regress_x_to_y", context=2.0))
    assert [one.value for one in response.result.regressions] == [5.0, 5.0]


def test_an_empty_input_is_an_invalid_argument(server, refused):
    for call, request in (
        (server.prediction.Classify, classify([], signature="classify_x_to_y")),
        (server.prediction.Regress, regress([], signature="regress_x_to_y")),
        (server.prediction.MultiInference, multi([], ("half", "regress_x_to_y", REGRESS))),
    ):
        with refused() as it:
            call(request)
        assert (it.code, it.text) == (INVALID, "Input is empty.")


def test_an_unknown_signature_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.prediction.Classify(classify([1.0], signature="nope"))
    assert (it.code, it.text) == (INVALID, "No signature was found with the name: nope")
    with refused() as it:
        server.prediction.Regress(regress([1.0], signature="nope"))
    assert (it.code, it.text) == (INVALID, "No signature was found with the name: nope")


def test_a_signature_without_their_tensors_is_an_invalid_argument(server, refused):
    # classifier.cc and regressor.cc (2.19.1): the method's name is not looked at, the tensors' names are.
    with refused() as it:
        server.prediction.Regress(regress([1.0]))
    assert it.code is INVALID
    assert it.text.startswith("No regression inputs found in SignatureDef: ")
    with refused() as it:
        server.prediction.Classify(classify([1.0], signature="regress_x_to_y"))
    assert it.code is INVALID
    assert it.text.startswith(
        'Expected classification signature outputs to contain at least one of "classes" or "scores". '
        "Signature was: "
    )


def test_scores_of_another_rank_are_an_invalid_argument(server, refused):
    with refused() as it:
        server.prediction.Classify(classify([1.0], signature="classify_flat"))
    assert (it.code, it.text) == (INVALID, "Expected Tensor shape: [batch_size num_classes] but got [1]")


def test_a_regression_of_several_values_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.prediction.Regress(regress([1.0], signature="regress_three"))
    assert (it.code, it.text) == (
        INVALID,
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,3]",
    )


@pytest.mark.parametrize("call", ["Classify", "Regress"])
def test_an_unknown_model_is_not_found(server, refused, call):
    request = (classify if call == "Classify" else regress)([1.0], name="nope")
    with refused() as it:
        getattr(server.prediction, call)(request)
    assert (it.code, it.text) == (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nope)")


def test_a_missing_model_spec_is_an_invalid_argument(server, refused):
    for call, request in (
        (server.prediction.Classify, classification_pb2.ClassificationRequest()),
        (server.prediction.Regress, regression_pb2.RegressionRequest()),
    ):
        with refused() as it:
            call(request)
        assert (it.code, it.text) == (INVALID, "Missing ModelSpec")


def test_multi_inference_answers_several_signatures_in_one_run(server):
    request = multi(
        [2.0],
        ("half", "regress_x_to_y", REGRESS),
        ("half", "classify_x_to_y", CLASSIFY),
        ("half", "regress_x_to_y2", REGRESS),
    )
    results = server.prediction.MultiInference(request).results
    assert results[0].regression_result.regressions[0].value == 5.0
    assert results[1].classification_result.classifications[0].classes[0].score == 5.0
    assert results[2].regression_result.regressions[0].value == 4.0
    assert [r.model_spec.signature_name for r in results] == [
        "regress_x_to_y",
        "classify_x_to_y",
        "regress_x_to_y2",
    ]


def test_multi_inference_on_a_predict_method_is_unimplemented(server, refused):
    with refused() as it:
        server.prediction.MultiInference(
            multi([1.0], ("half", "serving_default", "tensorflow/serving/predict"))
        )
    assert (it.code, it.text) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    )


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ([], "ModelSpec has no name specified."),
        (
            [("half", "regress_x_to_y", REGRESS), ("", "", REGRESS)],
            "Found ModelSpec with an empty model name.",
        ),
        (
            [("half", "regress_x_to_y", REGRESS), ("affine", "", REGRESS)],
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("half", "regress_x_to_y", REGRESS), ("half", "regress_x_to_y", REGRESS)],
            "Duplicate evaluation of signature: regress_x_to_y",
        ),
        ([("half", "nope", REGRESS)], "Requested signature not found in model graph: nope"),
    ],
)
def test_multi_inference_tasks_that_cannot_be(server, refused, tasks, text):
    with refused() as it:
        server.prediction.MultiInference(multi([1.0], *tasks))
    assert (it.code, it.text) == (INVALID, text)


def test_looking_at_many_examples_takes_no_memory_of_their_number():
    request = classification_pb2.ClassificationRequest()
    request.input.example_list.ParseFromString(b"\x0a\x00" * 20_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in all_examples(request)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
