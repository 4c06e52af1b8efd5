"""What TensorFlow Serving 2.19.1 does with JSON and HTTP, rule by rule, with the file of that tag that the rule was read in.

Paths are under tensorflow_serving/.
"""

from __future__ import annotations

import gzip
import json
import socket

import numpy as np
import pytest

from serving.api.http_server import listen
from serving.api.json_parser import decode_base64
from serving.api.json_worker import is_long
from serving.operations.memory import JsonSize
from serving.status import ServingError
from tests.support.server_process import PATIENCE_S, ServerProcess, error

PREDICT = "/v1/models/affine:predict"
ANY_RANK = "/v1/models/many:predict"


def raw(server: ServerProcess, data: bytes, *, answers: int = 1, port: str = "rest") -> list[bytes]:
    """Send bytes on one connection; the answers to them, each with its body."""
    found: list[bytes] = []
    with socket.create_connection(("127.0.0.1", server.ports[port]), timeout=PATIENCE_S) as sock:
        sock.sendall(data)
        stream = sock.makefile("rb")
        for _ in range(answers):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = stream.readline()
                if not line:
                    return found
                head += line
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            found.append(head + stream.read(length))
    return found


def post(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {PREDICT} HTTP/{version}", "Host: h", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


# --- util/json_tensor.cc


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": [1.0]} and more',
        '{"inputs": [1.0]}}',
        '{"inputs": [1.0], "inputs": [7.0]}',
        '\ufeff{"inputs": [1.0]}',
        '{"inputs": [1]}',
    ],
)
def test_json_is_read_as_rapidjson_reads_it(server, body):
    assert server.post(PREDICT, body.encode()) == (200, {"outputs": [3.5]})


def test_a_large_integer_is_a_float(server):
    status, answer = server.post(PREDICT, '{"instances": [1700000000]}')
    assert (status, answer["predictions"][0]) == (200, pytest.approx(850000000.0, rel=1e-6))


def test_zero_rows_are_an_empty_list(server):
    body = {"signature_name": "no_rows", "instances": [[1.0]]}
    assert server.post(ANY_RANK, body) == (200, {"predictions": []})


@pytest.mark.parametrize("text", ["aGk=", "aGk", "aGk.", "a G\tk=", "aG\rk=\n", " aGk= ", "a\vG\fk="])
def test_base64_is_abseils_lenient_one(text):
    assert decode_base64(text) == b"hi"


@pytest.mark.parametrize("text", ["aGk==", "aGk=a", "a*k=", "a", "====", "aGk=.", "aGkk="])
def test_base64_that_abseil_refuses(text):
    with pytest.raises(ServingError, match="Unable to base64 decode"):
        decode_base64(text)


@pytest.mark.parametrize("rank", [64, 65, 200, 253])
def test_tensors_of_every_rank_go_both_ways(server, rank):
    body = f'{{"signature_name": "any_rank", "inputs": {"[" * rank}1.5{"]" * rank}}}'
    status, text, _ = server.http("POST", ANY_RANK, body)
    assert (status, text) == (200, f'{{"outputs":{"[" * rank}1.5{"]" * rank}}}')


@pytest.mark.parametrize("rank", [255, 1020, 5000])
def test_a_rank_that_tensorflow_does_not_hold_is_refused(server, rank):
    nested = "[" * rank + "1.5" + "]" * rank
    for body in (
        f'{{"signature_name": "any_rank", "inputs": {nested}}}',
        f'{{"signature_name": "any_rank", "instances": {nested}}}',
        f'{{"signature_name": {nested}, "inputs": 1}}',
    ):
        assert server.post(ANY_RANK, body)[0] == 400


def test_quantized_outputs_travel_and_are_not_json(server):
    response = server.predict("many", {"a": np.array([[3.0]], np.float32)}, signature="quantized")
    assert list(response.outputs["y"].int_val) == [3]
    status, answer = server.post(ANY_RANK, {"signature_name": "quantized", "inputs": [[3.0]]})
    assert (status, error(answer)) == (400, "Failed to write JSON value for tensor type: quint8")


# --- model_servers/http_server.cc and http_rest_api_util.cc


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "gzip, identity", "GZIP"])
def test_whatever_contains_gzip_is_gzip(server, encoding):
    body = gzip.compress(b'{"inputs": ') + gzip.compress(b"[1.0]}")
    status, text, _ = server.http("POST", PREDICT, body, {"Content-Encoding": encoding})
    assert (status, json.loads(text)) == (200, {"outputs": [3.5]})


@pytest.mark.parametrize("cut", [1, 8, 12])
def test_gzip_without_its_trailer_is_refused(server, cut):
    body = gzip.compress(b'{"inputs": [1.0]}')[:-cut]
    status, text, _ = server.http("POST", PREDICT, body, {"Content-Encoding": "gzip"})
    assert status == 400
    assert "trailer" in text


def test_options_with_an_origin_is_ok(server):
    assert server.http("OPTIONS", PREDICT, headers={"Origin": "http://other"})[0] == 200
    assert server.http("OPTIONS", PREDICT)[0] == 400


@pytest.mark.parametrize(
    "upgrade", [["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAM"], ["Upgrade: websocket", "Connection: Upgrade"]]
)  # fmt: skip
def test_an_upgrade_is_ignored_and_its_body_is_no_second_request(server, upgrade):
    hidden = post(b'{"inputs": [7.0]}')
    first, second = raw(server, post(b'{"inputs": [1.0]}', *upgrade) + hidden, answers=2)
    assert first.endswith(b'{"outputs":[3.5]}')
    assert second.endswith(b'{"outputs":[6.5]}')
    # A body that looks like a request stays a body.
    (only,) = raw(server, post(hidden, *upgrade, "Connection: close"), answers=2)
    assert only.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: chunked"],
        ["Content-Length: 3"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding : chunked"],
    ],
)
def test_a_length_in_two_ways_is_refused_and_the_connection_closed(server, headers):
    answers = raw(server, post(b"0\r\n\r\n" + post(b'{"inputs": [7.0]}'), *headers), answers=2)
    assert len(answers) == 1
    assert answers[0].startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))


def test_chunks_and_100_continue_are_read(server):
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    (answer,) = raw(server, head + b'7\r\n{"input\r\na\r\ns": [1.0]}\r\n0\r\n\r\n')
    assert answer.endswith(b'{"outputs":[3.5]}')
    with socket.create_connection(("127.0.0.1", server.ports["rest"]), timeout=PATIENCE_S) as sock:
        request = post(b'{"inputs": [1.0]}', "Expect: 100-continue")
        head, _, body = request.partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert b"200" in sock.recv(1024)


@pytest.mark.parametrize("length", [100, 300_000, 3_000_000])
def test_what_follows_a_body_of_any_length_is_the_next_request(server, length):
    body = b'{"inputs": [1.0]' + b" " * length + b"}"
    first, second = raw(server, post(body) + post(b'{"inputs": [2.0]}'), answers=2)
    assert first.endswith(b'{"outputs":[3.5]}')
    assert second.endswith(b'{"outputs":[4.0]}')
    cut = post(body)[: -length // 2]
    with socket.create_connection(("127.0.0.1", server.ports["rest"]), timeout=PATIENCE_S) as sock:
        sock.sendall(cut)
        sock.shutdown(socket.SHUT_WR)
        assert b"200" not in sock.recv(1024)
    assert server.post(PREDICT, {"inputs": [1.0]})[0] == 200


def test_a_text_of_megabytes_is_read_beside_the_server(server):
    status, text, _ = server.http("POST", PREDICT, b'{"inputs": ["' + b"x" * 2_000_000 + b'"]}')
    assert status == 400
    assert "is not of expected type: float" in text
    assert server.post(PREDICT, {"inputs": [1.0]})[0] == 200


@pytest.mark.parametrize(
    ("body", "long"),
    [
        (b'{"inputs": [1.0]}', False),
        (b'["' + b"x" * 1_000_000 + b'"]', False),
        (b'["' + b"x" * 1_100_000 + b'"]', True),
        (b"[1" + b",1" * 50_000 + b"]", True),
    ],
)
def test_how_long_a_body_is_parsed_in_the_servers_process(body, long):
    assert is_long(JsonSize.of(body)) is long


def test_a_listening_socket_is_tcp_so_that_answers_are_not_held_back():
    (one,) = listen("127.0.0.1", 0)  # asyncio sets TCP_NODELAY by the socket's protocol
    with one:
        assert one.proto == socket.IPPROTO_TCP


def test_http_1_0_keeps_a_connection_that_asks_for_it(server):
    kept = post(b'{"inputs": [1.0]}', "Connection: keep-alive", version="1.0")
    first, second = raw(server, kept + kept, answers=2)
    assert b"\r\nConnection: keep-alive\r\n" in first
    assert second.endswith(b'{"outputs":[3.5]}')
    closed = raw(server, post(b'{"inputs": [1.0]}', version="1.0") * 2, answers=2)
    assert len(closed) == 1


@pytest.mark.parametrize("digits", [20, 4301, 5000])
def test_a_version_of_many_digits_is_refused(server, digits):
    for path in (
        f"/v1/models/affine/versions/{'9' * digits}",
        f"/v1/models/affine/versions/{'9' * digits}:predict",
    ):
        method = "POST" if path.endswith("predict") else "GET"
        status, text, _ = server.http(method, path, b'{"inputs": [1.0]}' if method == "POST" else None)
        assert status == 400
        assert "to numeric" in text
