"""The REST API over the wire: shapes, messages and status codes of TF Serving."""

from __future__ import annotations

import base64
import gzip
import json
import math

import pytest


def error(answer):
    assert list(answer) == ["error"]
    return answer["error"]


def test_instances_give_predictions_in_rows(server):
    assert server.post("/v1/models/half:predict", {"instances": [[1.0], [2.0]]}) == (
        200,
        {"predictions": [[4.5], [5.0]]},
    )


def test_inputs_give_outputs_in_columns(server):
    assert server.post("/v1/models/affine:predict", {"inputs": [1.0, 2.0]}) == (200, {"outputs": [3.5, 4.0]})


def test_named_inputs_give_named_outputs(server):
    body = {"inputs": {"a": [[1.0, 2.0]], "b": [[3.0, 4.0]]}}
    assert server.post("/v1/models/many:predict", body) == (
        200,
        {"outputs": {"sum": [[4.0, 6.0]], "product": [[3.0, 8.0]]}},
    )


def test_named_instances_give_named_predictions(server):
    body = {"instances": [{"a": [1.0], "b": [2.0]}, {"a": [3.0], "b": [4.0]}]}
    assert server.post("/v1/models/many:predict", body) == (
        200,
        {"predictions": [{"product": [2.0], "sum": [3.0]}, {"product": [12.0], "sum": [7.0]}]},
    )


def test_the_layout_is_that_of_tf_serving(server):
    _, text, headers = server.http("POST", "/v1/models/affine:predict", '{"instances": [1.0, 2.0]}')
    assert text == '{\n    "predictions": [3.5, 4.0\n    ]\n}'
    assert headers["content-type"] == "application/json"


def test_versions_and_labels_are_chosen_in_the_path(server):
    for path, value in (("", 4.5), ("/versions/2", 3.5), ("/labels/stable", 3.5), ("/labels/canary", 4.5)):
        assert server.post(f"/v1/models/half{path}:predict", {"instances": [[1.0]]}) == (
            200,
            {"predictions": [[value]]},
        )


def test_a_signature_is_chosen_by_name(server):
    body = {"signature_name": "scalar", "inputs": [[1.0, 2.0]]}
    assert server.post("/v1/models/many:predict", body) == (200, {"outputs": 3.0})


def test_b64_goes_in_and_comes_out_for_bytes_outputs_only(server):
    data = base64.b64encode(b"\x00\xffab").decode()
    status, answer = server.post(
        "/v1/models/many:predict",
        {"signature_name": "strings", "instances": [{"b64": data}, {"text": "xy"}][:1]},
    )
    assert status == 200
    (row,) = answer["predictions"]
    assert row["raw_bytes"] == {"b64": data}
    assert row["length"] == 4
    assert isinstance(row["upper"], str)


def test_plain_text_goes_in_as_text(server):
    body = {"signature_name": "strings", "instances": [{"text": "äb"}]}
    status, answer = server.post("/v1/models/many:predict", body)
    assert status == 200
    assert answer["predictions"][0]["length"] == 3
    assert answer["predictions"][0]["raw_bytes"] == {"b64": base64.b64encode("äb".encode()).decode()}


def test_broken_b64_is_refused(server):
    body = {"signature_name": "strings", "instances": [{"b64": "*"}]}
    status, answer = server.post("/v1/models/many:predict", body)
    assert status == 400
    assert "Unable to base64 decode" in error(answer)


def test_whole_floats_keep_their_point_zero(server):
    _, text, _ = server.http("POST", "/v1/models/affine:predict", '{"inputs": [0, 4, 1e30, 0.1]}')
    assert "3.0" in text
    assert "5.0" in text
    assert "5e+29" in text
    assert "3.05" in text


def test_nan_and_infinity_go_both_ways(server):
    _, text, _ = server.http(
        "POST", "/v1/models/affine:predict", '{"inputs": [NaN, Infinity, -Infinity, Inf]}'
    )
    values = json.loads(text)["outputs"]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, math.inf]
    assert "NaN" in text
    assert "-Infinity" in text


def test_integers_and_booleans_come_back_as_such(server):
    body = {"signature_name": "echo_int64", "inputs": [2**62, -1]}
    assert server.post("/v1/models/many:predict", body) == (200, {"outputs": [2**62, -1]})
    body = {"signature_name": "echo_bool", "inputs": [True, False]}
    assert server.post("/v1/models/many:predict", body) == (200, {"outputs": [True, False]})


@pytest.mark.parametrize(
    ("signature", "value", "wanted"),
    [
        ("echo_int32", "1.5", "JSON Value: 1.5 Type: Number is not of expected type: int32"),
        ("echo_int32", "4294967296", "JSON Value: 4294967296 Type: Number is not of expected type: int32"),
        ("echo_bool", "1", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("echo_uint32", "-1", "JSON Value: -1 Type: Number is not of expected type: uint32"),
        ("echo_float64", '"a"', 'JSON Value: "a" Type: String is not of expected type: double'),
        ("echo_float64", "true", "JSON Value: true Type: True is not of expected type: double"),
        ("echo_float64", "null", "JSON Value: null Type: Null is not of expected type: double"),
        ("echo_float64", "{}", "JSON Value: {} Type: Object is not of expected type: double"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(server, signature, value, wanted):
    status, answer = server.post(
        "/v1/models/many:predict", f'{{"signature_name": "{signature}", "inputs": {{"x": [{value}]}}}}'
    )
    assert (status, error(answer)) == (400, wanted)


def test_an_integer_too_large_for_float_is_lossy(server):
    status, answer = server.post("/v1/models/affine:predict", {"inputs": [16777216]})
    assert (status, error(answer)) == (
        400,
        "Cannot convert JSON value: 16777216 to float without loss of precision.",
    )


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
    assert error(answer).endswith("must only have keys: a,b")


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
            "JSON Parse error: Missing a comma or ] after an array element. at offset: 23",
        ),
        ("{'instances': 1}", "JSON Parse error: Missing a name for object member. at offset: 1"),
        ('{"instances" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 13"),
        ('{"instances": [x]}', "JSON Parse error: Invalid value. at offset: 15"),
        (
            '{"instances": 1} x',
            "JSON Parse error: The document root must not be followed by other values. at offset: 17",
        ),
        (
            '{"instances": 1 "b"}',
            "JSON Parse error: Missing a comma or } after an object member. at offset: 16",
        ),
        ("[1]", "JSON Value: [\n    1\n] Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            '{"instances": 5}',
            "JSON Value: {\n    \"instances\": 5\n} Excepting 'instances' to be an list/array",
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


def test_a_model_name_in_the_path_may_be_encoded(server):
    assert server.post("/v1/models/%68alf:predict", {"instances": [[1.0]]})[0] == 200


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


def test_a_gzipped_body_is_unzipped(server):
    body = gzip.compress(b'{"inputs": [1.0]}')
    status, text, _ = server.http("POST", "/v1/models/affine:predict", body, {"Content-Encoding": "gzip"})
    assert (status, json.loads(text)) == (200, {"outputs": [3.5]})
    assert server.http("POST", "/v1/models/affine:predict", b"junk", {"Content-Encoding": "gzip"})[0] == 400


def test_a_query_string_is_ignored(server):
    assert server.post("/v1/models/affine:predict?a=1", {"inputs": [1.0]}) == (200, {"outputs": [3.5]})


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
            "Expected classification signature method_name to be tensorflow/serving/classify. Was: "
            "tensorflow/serving/predict",
        ),
    ],
)
def test_wrong_examples_are_told_why(server, body, wanted):
    status, answer = server.post("/v1/models/half:classify", body)
    assert (status, error(answer)) == (400, wanted)


def test_the_status_has_the_version_as_text(server):
    assert server.get("/v1/models/affine") == (
        200,
        {
            "model_version_status": [
                {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        },
    )


def test_the_status_of_a_version_and_of_a_label(server):
    for path in ("/versions/2", "/labels/stable"):
        _, answer = server.get(f"/v1/models/half{path}")
        assert [one["version"] for one in answer["model_version_status"]] == ["2"]
    _, answer = server.get("/v1/models/half")
    assert [one["version"] for one in answer["model_version_status"]] == ["3", "2"]


def test_the_status_of_what_is_not_there_is_404(server):
    assert server.get("/v1/models/nope") == (404, {"error": "Could not find any versions of model nope"})
    assert server.get("/v1/models/half/versions/9") == (
        404,
        {"error": "Could not find version 9 of model half"},
    )
    assert server.get("/v1/models") == (400, {"error": "Missing model name in request."})


def test_the_metadata_are_the_signatures_of_the_file(server):
    status, answer = server.get("/v1/models/half/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "half", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"] == {
        "name": "x:0",
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
    }
    assert signatures["regress_x_to_y"]["method_name"] == "tensorflow/serving/regress"
    _, answer = server.get("/v1/models/half/versions/2/metadata")
    assert answer["model_spec"]["version"] == "2"
    _, answer = server.get("/v1/models/affine/metadata")
    assert "__saved_model_init_op" in answer["metadata"]["signature_def"]["signature_def"]
    assert server.get("/v1/models/nope/metadata")[0] == 404


def test_a_request_id_comes_back(server):
    _, _, headers = server.http("GET", "/v1/models/half", headers={"X-Request-Id": "abc-1"})
    assert headers["x-request-id"] == "abc-1"


def test_health_pages(server):
    assert server.http("GET", "/healthz")[:2] == (200, "ok\n")
    assert server.http("GET", "/readyz")[:2] == (200, "ready\n")


@pytest.mark.parametrize("name", [b"ser\xcaing", b"\\ud800"])
def test_names_that_are_no_text_are_refused(server, name):
    body = b'{"signature_name": "' + name + b'", "inputs": [1.0], "examples": [{"' + name + b'": 1.0}]}'
    assert server.post("/v1/models/affine:predict", body)[0] == 400
    assert server.post("/v1/models/half:classify", body.replace(b"signature_name", b"other"))[0] == 400
    assert server.post("/v1/models/affine:predict", b'{"inputs": ["' + name + b'"]}')[0] == 400
