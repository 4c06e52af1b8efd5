"""The REST API over the wire: what a prediction says, in TF Serving's own layout."""

from __future__ import annotations

import base64
import gzip
import json
import math
from email.utils import parsedate_to_datetime

import numpy as np
import pytest

from tests.support.server_process import error


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


def test_an_answer_is_json_with_a_date(server):
    _, text, headers = server.http("POST", "/v1/models/affine:predict", '{"instances": [1.0, 2.0]}')
    assert text == '{"predictions":[3.5,4.0]}'
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None
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


@pytest.mark.parametrize("value", ["16777217", "1700000000", "3.4028235e38", "-3.4028235e38"])
def test_a_number_that_rounds_to_a_float_is_taken(server, value):
    # json_tensor.cc (2.19.1) takes numbers for their nearest float.
    status, answer = server.post(
        "/v1/models/many:predict", f'{{"signature_name": "any_rank", "inputs": [{value}]}}'
    )
    assert status == 200, answer
    assert np.float32(answer["outputs"][0]) == np.float32(value)


@pytest.mark.parametrize("value", ["1e39", "1e400"])
def test_a_number_beyond_float_is_refused(server, value):
    status, answer = server.post("/v1/models/affine:predict", f'{{"inputs": [{value}]}}')
    assert status == 400
    assert "precision" in error(answer) or "Number too big to be stored in double" in error(answer)


def test_a_model_name_in_the_path_may_be_encoded(server):
    assert server.post("/v1/models/%68alf:predict", {"instances": [[1.0]]})[0] == 200


def test_a_gzipped_body_is_unzipped(server):
    body = gzip.compress(b'{"inputs": [1.0]}')
    status, text, _ = server.http("POST", "/v1/models/affine:predict", body, {"Content-Encoding": "gzip"})
    assert (status, json.loads(text)) == (200, {"outputs": [3.5]})
    assert server.http("POST", "/v1/models/affine:predict", b"junk", {"Content-Encoding": "gzip"})[0] == 400


def test_a_query_string_is_ignored(server):
    assert server.post("/v1/models/affine:predict?a=1", {"inputs": [1.0]}) == (200, {"outputs": [3.5]})


def test_a_request_id_comes_back(server):
    _, _, headers = server.http("GET", "/v1/models/half", headers={"X-Request-Id": "abc-1"})
    assert headers["x-request-id"] == "abc-1"
