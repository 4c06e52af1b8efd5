"""What TensorFlow Serving 2.19.1 does, rule by rule, with the file of that tag that the rule was read in.

Paths are under tensorflow_serving/. Rules about versions, labels and warm-up are in the modules of those names.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2
from PIL import Image

from serving import flags
from serving.api.http_server import bind
from serving.api.json_parser import decode_base64
from serving.api.json_worker import is_long
from serving.operations.memory import JsonSize
from serving.options import Options, is_upstream
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)
from serving.status import ServingError
from tests.support.server_process import ROOT, ServerProcess, error

PREDICT = "/v1/models/affine:predict"
ANY_RANK = "/v1/models/many:predict"


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def raw(server: ServerProcess, data: bytes, *, answers: int = 1, port: str = "rest") -> list[bytes]:
    """Send bytes on one connection; the answers to them, each with its body."""
    found: list[bytes] = []
    with socket.create_connection(("127.0.0.1", server.ports[port]), timeout=20) as sock:
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
    with socket.create_connection(("127.0.0.1", server.ports["rest"]), timeout=20) as sock:
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
    with socket.create_connection(("127.0.0.1", server.ports["rest"]), timeout=20) as sock:
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
    (one,) = bind("127.0.0.1", 0)  # asyncio sets TCP_NODELAY by the socket's protocol
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


# --- servables/tensorflow


def examples(jpeg: bytes) -> classification_pb2.ClassificationRequest:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "examples"
    feature = request.input.example_list.examples.add().features.feature["image"]
    feature.bytes_list.value.append(jpeg)
    return request


def test_tf2_signatures_classify_and_regress(server, jpeg):
    # classifier.cc, regressor.cc, multi_inference.cc: enable_signature_method_name_check is off.
    request = examples(jpeg)
    found = server.prediction.Classify(request).result.classifications[0].classes[0]
    assert (found.label, found.score) == ("bright", pytest.approx(128 / 255, abs=0.01))
    regress = regression_pb2.RegressionRequest(model_spec=request.model_spec, input=request.input)
    regress.model_spec.signature_name = "regress"
    (value,) = server.prediction.Regress(regress).result.regressions
    assert value.value == pytest.approx(128 / 255, abs=0.01)
    both = inference_pb2.MultiInferenceRequest(input=request.input)
    task = both.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name, task.model_spec.signature_name = "examples", "regress"
    (result,) = server.prediction.MultiInference(both).results
    assert result.regression_result.regressions[0].value == value.value
    text = base64.b64encode(jpeg).decode()
    body = {"examples": [{"image": {"b64": text}}]}
    status, answer = server.post("/v1/models/examples:classify", body)
    assert (status, answer["results"][0][0][0]) == (200, "bright")


def test_the_method_name_check_can_be_switched_on(pick, tmp_path, refused, jpeg):
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('examples', 1)}", "--model_name=examples",
        "--enable_signature_method_name_check",
    ) as server:  # fmt: skip
        with refused() as it:
            server.prediction.Classify(examples(jpeg))
        assert it.text == (
            "Expected classification signature method_name to be tensorflow/serving/classify. "
            "Was: tensorflow/serving/predict"
        )


def test_a_metadata_field_that_does_not_exist_is_named(server, refused):
    # get_model_metadata_impl.cc
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["other"])
    request.model_spec.name = "affine"
    with refused() as it:
        server.prediction.GetModelMetadata(request)
    assert (it.code, it.text) == (grpc.StatusCode.INVALID_ARGUMENT, "Metadata field other is not supported")


def test_an_empty_output_name_is_an_invalid_argument(server, refused):
    # predict_util.cc
    with refused() as it:
        server.predict("affine", {"x": [1.0]}, outputs=[""])
    assert it.code is grpc.StatusCode.INVALID_ARGUMENT
    assert it.text.startswith("output tensor alias not found in signature: ")


def test_a_batch_is_split_where_its_execution_is_limited(pick, tmp_path):
    # session_bundle_config.proto: max_execution_batch_size
    file = tmp_path / "batching.config"
    file.write_text(
        "max_batch_size { value: 200 } max_execution_batch_size { value: 4 } "
        "enable_large_batch_splitting { value: true } batch_timeout_micros { value: 1000 } "
        "max_enqueued_batches { value: 100 }"
    )
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=m",
        "--enable_batching", f"--batching_parameters_file={file}",
    ) as server:  # fmt: skip
        values = [float(i) for i in range(100)]
        answer = server.predict("m", {"x": values}).outputs["y"].float_val
        assert list(answer) == [value / 2 + 2 for value in values]
        pool = 'thread_pool_name="model_server_batch_threads"'
        sizes = f":tensorflow:serving:batching_session:processed_batch_size_sum{{{pool}}}"
        assert server.metrics()[sizes] == 4


# --- reflection (grpc's own server plugin)


def test_reflection_v1_stands_beside_v1alpha(server):
    def ask(package: str, **fields: str) -> reflection_pb2.ServerReflectionResponse:
        call = server.channel.stream_stream(
            f"/grpc.reflection.{package}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(call(iter([reflection_pb2.ServerReflectionRequest(**fields)]), timeout=20))

    for package in ("v1alpha", "v1"):
        services = {one.name for one in ask(package, list_services="").list_services_response.service}
        assert services >= {"tensorflow.serving.PredictionService", "grpc.reflection.v1.ServerReflection"}
        for symbol in (
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.PredictionService.Predict",
            "grpc.reflection.v1.ServerReflection",
        ):
            found = ask(package, file_containing_symbol=symbol).file_descriptor_response
            names = [
                descriptor_pb2.FileDescriptorProto.FromString(one).name for one in found.file_descriptor_proto
            ]
            assert names, symbol
        assert ask(package, file_containing_symbol="tensorflow.serving.No").error_response.error_code == 5


# --- model_servers/main.cc


def test_the_documented_flags_are_those_of_the_code():
    page = (ROOT / "docs" / "serving.md").read_text()
    assert page == flags.documented(page), "run: python -m serving.flags docs/serving.md"
    assert "2.19.1" in page


@pytest.mark.parametrize(
    "name",
    [
        *("port", "grpc_socket_path", "rest_api_port", "rest_api_num_threads", "rest_api_timeout_in_ms"),
        *("rest_api_enable_cors_support", "enable_batching", "allow_version_labels_for_unavailable_models"),
        *("batching_parameters_file", "enable_per_model_batching_parameters", "model_config_file"),
        *("model_config_file_poll_wait_seconds", "model_name", "model_base_path", "num_load_threads"),
        *("num_unload_threads", "max_num_load_retries", "load_retry_interval_micros"),
        *("file_system_poll_wait_seconds", "flush_filesystem_caches", "tensorflow_session_parallelism"),
        *("tensorflow_session_config_file", "tensorflow_intra_op_parallelism"),
        *("tensorflow_inter_op_parallelism", "use_alts_credentials", "ssl_config_file"),
        *("platform_config_file", "per_process_gpu_memory_fraction", "saved_model_tags"),
        *("grpc_channel_arguments", "grpc_max_threads", "enable_model_warmup"),
        *("num_request_iterations_for_warmup", "version", "monitoring_config_file"),
        *("remove_unused_fields_from_bundle_metagraph", "prefer_tflite_model", "num_tflite_pools"),
        *("num_tflite_interpreters_per_pool", "enable_signature_method_name_check"),
        *("xla_cpu_compilation_enabled", "enable_profiler", "thread_pool_factory_config_file"),
        *("enable_grpc_healthcheck_service", "enforce_session_run_timeout"),
        "enable_serialization_as_tensor_content",
    ],
)
def test_every_flag_of_the_tag_is_known(name):
    assert is_upstream(name)
    assert Options.model_fields[name].description


def test_a_flag_that_is_not_done_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--enable_profiler=false", "--prefer_tflite_model", "--enable_batching"],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--prefer_tflite_model is accepted and not done: only saved_model.pb is served" in done.stderr
    assert "--enable_profiler is accepted and not done" in done.stderr
    assert "--enable_batching is accepted" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port=70000"], "--port = '70000'"),
        (["--rest_api_port=65536"], "--rest_api_port = '65536'"),
        (["--port=0", "--rest_api_port=0"], "nothing would listen"),
        (
            ["--port=-1", "--rest_api_port=-1", "--model_base_path=gs://bucket/m"],
            "this server cannot read gs://bucket/m",
        ),
        (
            ["--port=-1", "--rest_api_port=-1", "--model_base_path=s3://bucket/m"],
            "this server cannot read s3://bucket/m",
        ),
        (["--port=-1", "--host=192.0.2.1", "--rest_api_port=8999"], "cannot listen on 192.0.2.1:8999"),
    ],
)
def test_flags_that_cannot_be_are_refused_at_once(zoo, arguments, says):
    base = [] if any("base_path" in one for one in arguments) else [f"--model_base_path={zoo / 'half'}"]
    done = subprocess.run(
        [sys.executable, "-m", "serving", *arguments, *base],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Successfully loaded" not in done.stderr


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("", ["127.0.0.1", "::1"]),
        ("::", ["::1"]),
        ("::1", ["::1"]),
        ("localhost", ["127.0.0.1"]),
        ("127.0.0.1", ["127.0.0.1"]),
    ],
)
def test_both_ports_listen_on_the_same_host(pick, tmp_path, host, addresses):
    if "::1" in addresses and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=m", f"--host={host}"
    ) as server:
        for address in addresses:
            connection = http.client.HTTPConnection(address, server.ports["rest"], timeout=20)
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 200
            connection.close()
            target = f"[{address}]" if ":" in address else address
            with grpc.insecure_channel(f"{target}:{server.ports['grpc']}") as channel:
                grpc.channel_ready_future(channel).result(timeout=20)


# --- memory and images: where this server refuses what TensorFlow Serving would take


def test_repeated_strings_are_counted_as_they_would_be_allocated(server, refused):
    for count in (10_000, 10_000_000):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "many", "strings"
        tensor = request.inputs["text"]
        tensor.dtype = 7
        tensor.tensor_shape.dim.add(size=count)
        tensor.string_val.append(b"x" * 100_000)
        with refused() as it:
            server.prediction.Predict(request, timeout=30)
        assert it.code is grpc.StatusCode.INVALID_ARGUMENT
        assert f"its shape needs {count * 100_024} bytes" in it.text


def test_one_budget_bounds_what_requests_take(pick, tmp_path, refused):
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=affine",
        f"--max_request_memory_bytes={8 << 20}",
    ) as server:  # fmt: skip
        bomb = gzip.compress(b'{"inputs": [1.0' + b" " * (50 << 20) + b"]}")
        with ThreadPoolExecutor(3) as pool:
            zipped = {"Content-Encoding": "gzip"}
            found = list(pool.map(lambda _: server.http("POST", PREDICT, bomb, zipped), range(3)))
        assert {status for status, _, _ in found} == {503}
        assert all(
            "bytes of memory" in text and int(headers["retry-after"]) >= 1 for _, text, headers in found
        )
        body = b'{"inputs": [1.0' + b",1.0" * 200_000 + b"]}"
        assert server.http("POST", PREDICT, body)[0] == 503
        with refused() as it:
            server.predict("affine", {"x": np.zeros(1 << 20, np.float32)})
        assert it.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        # What was refused is given back.
        assert server.post(PREDICT, {"inputs": [2.0]}) == (200, {"outputs": [3.0]})
        assert server.metrics()["melanosizer_serving_request_memory_bytes{}"] == 0


@pytest.mark.parametrize("way", ["image_bytes", "classify", "serving_examples", "rest"])
def test_an_image_of_too_many_pixels_is_refused_on_every_way_to_a_decoder(server, refused, way):
    large = png(9000, 8000)
    says = "has 9000 x 8000 pixels, more than 1000000 in all"
    if way == "rest":
        body = {"examples": [{"image": {"b64": base64.b64encode(large).decode()}}]}
        status, answer = server.post("/v1/models/examples:classify", body)
        assert (status, says in error(answer)) == (400, True)
        return
    with refused() as it:
        if way == "image_bytes":
            server.predict("images", {"image_bytes": [large]}, version=1)
        elif way == "classify":
            server.prediction.Classify(examples(large))
        else:
            example = examples(large).input.example_list.examples[0].SerializeToString()
            server.predict("examples", {"examples": [example]}, signature="serving_examples")
    assert it.code is grpc.StatusCode.INVALID_ARGUMENT
    assert says in it.text


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_images_are_brought_to_what_ingest_would_have_written(server):
    """One decode rule (core.images.normalise): rotation, transparency, palettes, CMYK and 16 bit."""
    grey = Image.new("RGB", (64, 48), (128, 128, 128))
    turned = Image.Exif()
    turned[0x0112] = 8
    transparent = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    kinds = {
        "turned": (encoded(grey, "JPEG", exif=turned), 128),
        "cmyk": (encoded(grey.convert("CMYK"), "JPEG"), 128),
        "palette": (encoded(grey.convert("P"), "PNG"), 128),
        "transparent": (encoded(transparent, "PNG"), 255),  # laid on white
        "deep": (encoded(Image.new("I;16", (64, 48), 32768), "PNG"), 128),
    }
    for kind, (data, mean) in kinds.items():
        answer = server.predict("images", {"image_bytes": [data]}, version=1)
        assert answer.outputs["probability"].float_val[0] * 255 == pytest.approx(mean, abs=2), kind
