"""What TensorFlow Serving 2.19.1 does, rule by rule, with the file of that tag that the rule was read in.

Paths are under tensorflow_serving/. Rules about JSON and HTTP, versions, labels and warm-up are in the modules of those names.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import io
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
from serving.options import Options, is_upstream
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)
from tests.support.server_process import PATIENCE_S, ROOT, ServerProcess, error, until

PREDICT = "/v1/models/affine:predict"


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


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
        return next(call(iter([reflection_pb2.ServerReflectionRequest(**fields)]), timeout=PATIENCE_S))

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
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=ROOT,
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
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=ROOT,
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
            connection = http.client.HTTPConnection(address, server.ports["rest"], timeout=PATIENCE_S)
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 200
            connection.close()
            target = f"[{address}]" if ":" in address else address
            with grpc.insecure_channel(f"{target}:{server.ports['grpc']}") as channel:
                grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)


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
            server.prediction.Predict(request, timeout=PATIENCE_S)
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
        until(lambda: server.metrics()["melanosizer_serving_request_memory_bytes{}"] == 0)


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
