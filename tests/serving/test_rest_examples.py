"""The REST API over the wire: classify and regress, and the examples they take."""

from __future__ import annotations

import pytest

from tests.support.server_process import error


def test_classify_gives_labels_and_scores(server):
    body = {"signature_name": "classify_both", "examples": [{"x": 1.0}, {"x": [2.0]}]}
    assert server.post("/v1/models/half:classify", body) == (
        200,
        {"results": [[["positive", 4.5]], [["positive", 5.0]]]},
    )


def test_classify_without_labels_has_empty_ones(server):
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}
    assert server.post("/v1/models/half:classify", body) == (200, {"results": [[["", 5.0]]]})


def test_regress_gives_values(server):
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}
    assert server.post("/v1/models/half:regress", body) == (200, {"results": [4.5, 5.0]})


def test_a_context_is_shared_by_the_examples(server):
    body = {"signature_name": "regress_x_to_y", "context": {"x": 2.0}, "examples": [{}, {"x2": 1.0}]}
    assert server.post("/v1/models/half:regress", body) == (200, {"results": [5.0, 5.0]})


def test_an_integer_literal_becomes_an_int64_feature(server):
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": 2}]}
    status, answer = server.post("/v1/models/half:regress", body)
    assert status == 400
    assert "Data types don't match. Data type: int64 but expected type: float" in error(answer)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        (
            '{"examples": 1}',
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
        ('{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
        ('{"examples": [{"x": [1.0, "a"]}]}', "Unexpected element type in feature: x expecting type: float"),
        (
            '{"examples": [{"x": 18446744073709551615}]}',
            "Feature: x has uint64 element. Only int64 is supported.",
        ),
        ('{"signature_name": "no", "examples": [{"x": 1.0}]}', "No signature was found with the name: no"),
        (
            '{"examples": [{"x": 1.0}]}',
            "No classification inputs found in SignatureDef: ",
        ),
    ],
)
def test_wrong_examples_are_told_why(server, body, wanted):
    status, answer = server.post("/v1/models/half:classify", body)
    assert status == 400
    assert error(answer).startswith(wanted)
