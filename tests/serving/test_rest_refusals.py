"""The REST API over the wire: what is refused, with TF Serving's messages and status codes."""

from __future__ import annotations

import json

import pytest

from tests.support.server_process import error


def test_ragged_lists_are_refused_with_their_level(server):
    status, answer = server.post("/v1/models/half:predict", {"inputs": [[1.0], [2.0, 3.0]]})
    assert (status, error(answer)) == (
        400,
        "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    )
    status, answer = server.post("/v1/models/half:predict", {"inputs": [[1.0], 2.0]})
    assert (
        error(answer) == "JSON Value: 2.0 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"
    )


def test_a_bad_element_of_instances_is_named(server):
    status, answer = server.post("/v1/models/affine:predict", {"instances": [1.0, "x"]})
    assert (status, error(answer)) == (
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String "
        "is not of expected type: float",
    )
    status, answer = server.post("/v1/models/many:predict", {"instances": [{"a": [1.0], "q": 1}]})
    assert error(answer) == (
        "Failed to process element: 0 key: q of 'instances' list. Error: INVALID_ARGUMENT: "
        "JSON object: does not have named input: q"
    )
    status, answer = server.post("/v1/models/many:predict", {"instances": [{"a": [1.0]}]})
    assert error(answer).startswith("Failed to process element: 0 of 'instances' list. JSON object: {")
    assert error(answer).endswith("keys must be equal to: a,b")


def test_instances_of_different_shape_are_refused(server):
    status, answer = server.post("/v1/models/half:predict", {"instances": [[1.0], [1.0, 2.0]]})
    assert status == 400
    assert error(answer).endswith("Expecting tensor size: 1 but got: 2")
    _, answer = server.post("/v1/models/half:predict", {"instances": [[1.0], [[1.0]]]})
    assert error(answer).endswith("Expecting shape [1] but got: [1,1]")


def test_a_plain_list_for_several_inputs_is_refused(server):
    status, answer = server.post("/v1/models/many:predict", {"instances": [1.0]})
    assert (status, error(answer)) == (
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    )
    _, answer = server.post("/v1/models/many:predict", {"inputs": [1.0]})
    assert error(answer) == (
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map"
    )
    _, answer = server.post("/v1/models/many:predict", {"inputs": {"a": [[1.0]]}})
    assert error(answer) == "Missing named input: b in 'inputs' object."


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("  ", "JSON Parse error: The document is empty. at offset: 2"),
        (
            '{"instances": [1.0, 2.0',
            "JSON Parse error: Missing a comma or ']' after an array element. at offset: 23",
        ),
        ("{'instances': 1}", "JSON Parse error: Missing a name for object member. at offset: 1"),
        ('{"instances" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 13"),
        ('{"instances": [x]}', "JSON Parse error: Invalid value. at offset: 15"),
        (
            '{"instances": 1 "b"}',
            "JSON Parse error: Missing a comma or '}' after an object member. at offset: 16",
        ),
        ("[1]", "JSON Value: [\n    1\n] Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            '{"instances": 5}',
            "JSON Value: {\n    \"instances\": 5\n} Expecting 'instances' to be an list/array",
        ),
        (
            '{"signature_name": 5}',
            "JSON Value: {\n    \"signature_name\": 5\n} not formatted correctly. 'signature_name' key must be a string "
            "value.",
        ),
        ('{"signature_name": "no"}', 'Serving signature name: "no" not found in signature def'),
    ],
)
def test_a_body_that_is_wrong_is_told_why(server, body, wanted):
    status, answer = server.post("/v1/models/affine:predict", body)
    assert (status, error(answer)) == (400, wanted)


def test_instances_and_inputs_exclude_each_other(server):
    status, answer = server.post("/v1/models/affine:predict", {"instances": [1], "inputs": [1]})
    assert status == 400
    assert "expecting only one of 'inputs' or 'instances' keys to exist" in error(answer)


def test_an_unknown_model_is_404(server):
    assert server.post("/v1/models/nope:predict", {"instances": [1.0]}) == (
        404,
        {"error": "Servable not found for request: Latest(nope)"},
    )
    status, answer = server.post("/v1/models/half/versions/9:predict", {"instances": [[1.0]]})
    assert (status, error(answer)) == (404, "Servable not found for request: Specific(half, 9)")


def test_an_unknown_label_is_400(server):
    status, answer = server.post("/v1/models/half/labels/no:predict", {"instances": [[1.0]]})
    assert (status, error(answer)) == (400, "Unrecognized servable version label: no")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/models/half"),
        ("POST", "/v1/models/half:frobnicate"),
        ("GET", "/v1/models/half:predict"),
        ("GET", "/v1/models/half/versions/x"),
        ("DELETE", "/v1/models/half"),
        ("PUT", "/v1/models/half:predict"),
    ],
)
def test_a_bad_path_under_v1_is_a_malformed_request(server, method, path):
    status, text, _ = server.http(method, path, "{}" if method != "GET" else None)
    assert (status, json.loads(text)) == (400, {"error": f"Malformed request: {method} {path}"})


def test_a_path_outside_v1_is_404(server):
    assert server.http("GET", "/foo")[0] == 404
    assert server.http("POST", "/models/half:predict", "{}")[0] == 404


def test_a_version_beyond_int64_is_refused(server):
    status, answer = server.get("/v1/models/half/versions/99999999999999999999")
    assert (status, error(answer)) == (400, "Failed to convert version: 99999999999999999999 to numeric.")


def test_an_output_without_batch_dimension_cannot_be_a_row(server):
    body = {"signature_name": "scalar", "instances": [[1.0]]}
    status, answer = server.post("/v1/models/many:predict", body)
    assert (status, error(answer)) == (400, "Tensor name: total has no shape information ")


def test_outputs_of_different_batch_size_cannot_be_rows(server):
    body = {"signature_name": "ragged_batch", "instances": [[1.0, 2.0]]}
    status, answer = server.post("/v1/models/many:predict", body)
    assert (status, error(answer)) == (400, "Tensor name: same has inconsistent batch size: 1 expecting: 2")


def test_a_type_json_cannot_hold_is_told(server):
    body = {"signature_name": "echo_complex64", "inputs": [1.0]}
    status, answer = server.post("/v1/models/many:predict", body)
    assert (status, error(answer)) == (501, "Conversion of JSON Value: 1.0 to type: complex64")


@pytest.mark.parametrize("name", [b"ser\xcaing", b"\\ud800"])
def test_names_that_are_no_text_are_refused(server, name):
    body = b'{"signature_name": "' + name + b'", "inputs": [1.0], "examples": [{"' + name + b'": 1.0}]}'
    assert server.post("/v1/models/affine:predict", body)[0] == 400
    assert server.post("/v1/models/half:classify", body.replace(b"signature_name", b"other"))[0] == 400
    assert server.post("/v1/models/affine:predict", b'{"inputs": ["' + name + b'"]}')[0] == 400
