"""What a hostile or broken client sends: bounded here; the long runs are `benchmarks/serving_hostile.py`."""

from __future__ import annotations

import json
import math
import random
import socket
import string

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.tfserving.tensors import from_proto, to_proto
from serving.api.json_parser import parse
from serving.api.json_replies import column_format
from serving.engine.tensors import fill_proto, from_array
from serving.engine.tensors import from_proto as to_tensor
from serving.protos import TensorProto, predict_pb2
from serving.status import Code, ServingError
from tests.support.server_process import PATIENCE_S, ServerProcess, until

# The same cases in each run; the long random run is among the slow tests.
OFTEN = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND}


def is_alive_and_right(server):
    assert list(server.predict("affine", {"x": [2.0]}).outputs["y"].float_val) == [4.0]
    assert server.post("/v1/models/affine:predict", {"inputs": [2.0]}) == (200, {"outputs": [4.0]})


# json.dumps writes a lone surrogate as an escape that is not JSON.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def _as_rapidjson(value):
    """What RapidJSON makes of a value of Python's: integers beyond 64 bits are doubles."""
    if isinstance(value, dict):
        return {key: _as_rapidjson(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_rapidjson(one) for one in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value)
    return value


def check_parsing(document):
    assert _equal(parse(json.dumps(document).encode()), _as_rapidjson(document))


def _equal(mine, theirs):
    if type(mine) is not type(theirs):
        return False
    if isinstance(mine, dict):
        return list(mine) == list(theirs) and all(_equal(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, list):
        return len(mine) == len(theirs) and all(map(_equal, mine, theirs))
    if isinstance(mine, float) and math.isfinite(theirs):
        # Without its flag for full precision, as in TensorFlow Serving, RapidJSON is off by up to 3 units.
        return abs(mine - theirs) <= 3 * math.ulp(theirs) and math.copysign(1, mine) == math.copysign(
            1, theirs
        )
    return mine == theirs or (mine != mine and theirs != theirs)


@OFTEN
@given(st.dictionaries(texts, json_values, max_size=4))
@example({"a": -9223372036854775809})
@example({"a": 2**64, "b": 2**64 - 1, "c": -(2**63)})
@example({"a": [float("inf"), -0.0, 5e-324, 1.7976931348623157e308]})
def test_the_parser_reads_what_python_writes(document):
    check_parsing(document)


def check_refusal(body):
    code = Code.INVALID_ARGUMENT
    try:
        outcome = type(parse(body)).__name__
    except ServingError as error:
        outcome, code = error.message, error.code
    assert code is Code.INVALID_ARGUMENT
    assert outcome.startswith(("dict", "JSON Parse error: ", "JSON Value: "))


bodies = st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ueE+-.0123456789NanIfity tr', max_size=60).map(
    str.encode
)


@OFTEN
@given(bodies)
def test_the_parser_refuses_in_its_own_words_only(body):
    check_refusal(body)


def check_float(value):
    proto = TensorProto(dtype=1, float_val=[value])
    proto.tensor_shape.dim.add(size=1)
    (back,) = json.loads(column_format({"y": proto}))["outputs"]
    assert type(back) is float
    assert np.float32(back) == np.float32(value) or (np.isnan(back) and np.isnan(value))


@OFTEN
@given(st.floats(width=32))
@example(16777216.0)
@example(float("-inf"))
def test_every_float_survives_the_json_writer(value):
    check_float(value)


@pytest.mark.slow
def test_a_long_random_run_of_the_parser_and_the_writer():
    often = settings(OFTEN, max_examples=4_000, derandomize=False)
    often(given(st.dictionaries(texts, json_values, max_size=4))(check_parsing))()
    often(given(bodies)(check_refusal))()
    often(given(st.floats(width=32))(check_float))()


@OFTEN
@given(st.lists(st.floats(width=32), max_size=30), st.booleans())
def test_tensors_survive_the_c_library(values, as_content):
    array = np.array(values, np.float32)
    proto = TensorProto()
    fill_proto(from_array(array), proto, as_content=as_content)
    np.testing.assert_array_equal(from_proto(proto), array)
    np.testing.assert_array_equal(to_tensor(to_proto(array), "x").numpy(), array)


tensor_protos = st.builds(
    lambda dtype, dims, floats, strings, content: _proto(dtype, dims, floats, strings, content),
    st.integers(0, 30) | st.sampled_from([1, 3, 7, 9]),
    st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**62]), max_size=4),
    st.lists(st.floats(width=32), max_size=4),
    st.lists(st.binary(max_size=8), max_size=3),
    st.binary(max_size=16),
)


def _proto(dtype, dims, floats, strings, content):
    proto = TensorProto(float_val=floats, string_val=strings, tensor_content=content)
    proto.dtype = dtype
    for size in dims:
        proto.tensor_shape.dim.add(size=size)
    return proto


@OFTEN
@given(proto=tensor_protos, model=st.sampled_from(["affine", "many", "images"]))
def test_any_tensor_is_answered_or_refused(server, proto, model):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs[{"affine": "x", "many": "a", "images": "image_bytes"}[model]].CopyFrom(proto)
    code, details = grpc.StatusCode.OK, ""
    try:
        server.prediction.Predict(request, timeout=PATIENCE_S)
    except grpc.RpcError as error:
        code, details = error.code(), error.details()
    assert code in {*REFUSALS, grpc.StatusCode.OK}, f"{code}: {details}"


def test_the_server_is_alive_and_right_after_the_tensors(server):
    is_alive_and_right(server)


@OFTEN
@given(
    body=st.dictionaries(
        st.sampled_from(["instances", "inputs", "signature_name", "x"]), json_values, max_size=3
    )
)
def test_any_json_is_answered_or_refused(server, body):
    assert server.post("/v1/models/affine:predict", json.dumps(body))[0] in (200, 400)
    assert server.post("/v1/models/half:classify", json.dumps({"examples": [body]}))[0] in (200, 400)


def test_a_shape_without_its_values_is_refused_before_memory_is_taken(server, refused):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "affine"
    proto = TensorProto(dtype=1, float_val=[1.0])
    proto.tensor_shape.dim.add(size=10**12)
    request.inputs["x"].CopyFrom(proto)
    with refused() as it:
        server.prediction.Predict(request, timeout=PATIENCE_S)
    assert it.code is grpc.StatusCode.INVALID_ARGUMENT
    assert it.text.startswith("tensor parsing error: x")
    is_alive_and_right(server)


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"a":' * 100_000, '{"inputs":' + "[" * 5000 + "]" * 5000 + "}", "1" * 100_000]
)
def test_deep_and_long_json_is_refused(server, body):
    assert server.post("/v1/models/affine:predict", body)[0] == 400
    is_alive_and_right(server)


def test_mutated_jpegs_are_answered_or_refused(server, jpeg):
    rng = random.Random(7)
    for _ in range(300):
        data = bytearray(jpeg)
        for _ in range(rng.randint(1, 12)):
            kind, at = rng.random(), rng.randrange(len(data))
            if kind < 0.6:
                data[at] = rng.randrange(256)
            elif kind < 0.8:
                del data[at : at + rng.randint(1, 40)]
            else:
                data[at:at] = rng.randbytes(rng.randint(1, 40))
            if not data:
                break
        code = grpc.StatusCode.OK
        try:
            server.predict("images", {"image_bytes": [bytes(data)]})
        except grpc.RpcError as error:
            code = error.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
    is_alive_and_right(server)


def test_bytes_that_are_no_message_are_refused(server):
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    for data in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", bytes(range(256))):
        with pytest.raises(grpc.RpcError) as error:
            call(data, timeout=PATIENCE_S)
        assert error.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)
    is_alive_and_right(server)


def test_http_that_is_none_is_closed(server):
    rng = random.Random(3)
    for junk in (
        b"\x00" * 50,
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        "".join(rng.choices(string.printable, k=500)).encode(),
    ):
        with socket.create_connection(("127.0.0.1", server.ports["rest"]), timeout=PATIENCE_S) as sock:
            sock.sendall(junk + b"\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
    is_alive_and_right(server)


def test_slow_clients_are_closed_and_many_connections_do_not_block_others(pick, tmp_path):
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 2)}", "--model_name=affine",
        "--rest_api_header_timeout_in_ms=4000", "--rest_api_max_connections=300", "--rest_api_max_body_bytes=1000",
    ) as server:  # fmt: skip
        address = ("127.0.0.1", server.ports["rest"])
        slow = []
        for i in range(200):
            sock = socket.create_connection(address, timeout=PATIENCE_S)
            # Half a header, a body that never ends, nothing at all.
            sock.sendall(
                (
                    b"GET /v1/models/affine HT",
                    b"POST /v1/models/affine:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n{",
                    b"",
                )[i % 3]
            )
            slow.append(sock)
        is_alive_and_right(server)
        for sock in slow:
            assert sock.recv(1) == b""
            sock.close()
        many = [socket.create_connection(address, timeout=PATIENCE_S) for _ in range(400)]
        for sock in many:
            sock.close()

        def answers() -> bool:
            try:
                is_alive_and_right(server)
            except ConnectionError:
                return False  # the server has yet to see that those four hundred are gone
            return True

        until(answers)
        status, answer = server.post("/v1/models/affine:predict", {"inputs": [1.0] * 1000})
        assert status == 400
        assert "larger than 1000 bytes" in answer["error"]
