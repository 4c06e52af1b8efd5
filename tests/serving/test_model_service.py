"""GetModelStatus, GetModelMetadata, HandleReloadConfigRequest, labels, health and reflection."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_server_config_pb2,
)
from tests.support.model_zoo_paths import broken
from tests.support.server_process import ServerProcess

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def own(zoo, tmp_path_factory):
    """A server whose configuration these tests may change; one try a load."""
    folder = tmp_path_factory.mktemp("own")
    with ServerProcess(
        folder, "--model_name=base", f"--model_base_path={zoo / 'affine'}", "--max_num_load_retries=0",
        "--file_system_poll_wait_seconds=0.1",
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def base(zoo):
    return {"name": "base", "base_path": zoo / "affine"}


def test_status_is_newest_first(server):
    assert list(server.status("half").items()) == [(3, ("AVAILABLE", "")), (2, ("AVAILABLE", ""))]


def test_status_of_one_version(server):
    assert server.status("half", 2) == {2: ("AVAILABLE", "")}


def test_status_of_what_is_not_there(server, refused):
    with refused() as it:
        server.status("nope")
    assert (it.code, it.text) == (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model nope")
    with refused() as it:
        server.status("half", 9)
    assert (it.code, it.text) == (grpc.StatusCode.NOT_FOUND, "Could not find version 9 of model half")
    with refused() as it:
        server.models.GetModelStatus(get_model_status_pb2.GetModelStatusRequest())
    assert (it.code, it.text) == (INVALID, "Missing ModelSpec")


def metadata(server, name, *fields, version=None):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    response = server.prediction.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return response.model_spec, dict(signatures.signature_def)


def test_metadata_are_the_raw_signatures(server):
    spec, signatures = metadata(server, "affine", "signature_def")
    assert (spec.name, spec.version.value) == ("affine", 2)
    assert set(signatures) == {"serving_default", "__saved_model_init_op"}
    assert signatures["serving_default"].inputs["x"].name == "serving_default_x:0"
    assert metadata(server, "half", "signature_def", version=2)[0].version.value == 2


def test_metadata_requests_that_cannot_be(server, refused):
    with refused() as it:
        metadata(server, "affine")
    assert (it.code, it.text) == (INVALID, "GetModelMetadataRequest must specify at least one metadata_field")
    with refused() as it:
        metadata(server, "affine", "weights")
    assert it.code is INVALID
    assert "is not supported" in it.text
    assert "weights" in it.text
    with refused() as it:
        metadata(server, "nope", "signature_def")
    assert it.code is grpc.StatusCode.NOT_FOUND
    with refused() as it:
        server.prediction.GetModelMetadata(
            get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        )
    assert (it.code, it.text) == (INVALID, "Missing ModelSpec")


def test_reload_adds_and_removes_models_and_returns_once_they_are_available(own, base, zoo, refused):
    response = own.reload(base, {"name": "more", "base_path": zoo / "half"})
    assert response.status.error_code == 0
    assert list(own.predict("more", {"x": [[2.0]]}).outputs["y"].float_val) == [5.0]
    own.reload(base)
    own.await_state("more", 3, "END")
    with refused() as it:
        own.predict("more", {"x": [[2.0]]})
    assert it.code is grpc.StatusCode.NOT_FOUND
    assert own.status("more") == {3: ("END", "")}


def test_reload_without_a_config_is_an_invalid_argument(own, refused):
    with refused() as it:
        own.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
    assert (it.code, it.text) == (
        INVALID,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported",
    )


def test_reload_with_a_duplicate_name_is_an_invalid_argument(own, base, refused):
    with refused() as it:
        own.reload(base, base)
    assert (it.code, it.text) == (INVALID, "Illegal to list model base multiple times in config list")


def test_reload_with_a_relative_path_is_an_invalid_argument(own, base, refused):
    with refused() as it:
        own.reload(base, {"name": "more", "base_path": "models/more"})
    assert (it.code, it.text) == (
        INVALID,
        "Expected model more to have an absolute path or URI; got base_path()=models/more",
    )


def test_reload_with_an_unknown_platform_is_an_invalid_argument(own, base, zoo, refused):
    with refused() as it:
        own.reload(base, {"name": "more", "base_path": zoo / "half", "platform": "onnx"})
    assert (it.code, it.text) == (INVALID, "Model more requests unsupported platform onnx")
    with refused() as it:
        own.reload(base, {"name": "more", "base_path": zoo / "half", "platform": ""})
    assert it.code is INVALID
    assert "neither ModelServerConfig::model_type" in it.text


def test_reload_that_changes_a_platform_is_an_invalid_argument(own, base, refused):
    with refused() as it:
        own.reload({**base, "platform": "onnx"})
    assert (it.code, it.text) == (
        INVALID,
        "Illegal to change a model's platform. For model base platform was tensorflow and new platform requested is onnx",
    )


def test_a_refused_reload_changes_nothing(own, base, refused):
    with refused():
        own.reload({**base, "platform": "onnx"})
    assert list(own.predict("base", {"x": [2.0]}).outputs["y"].float_val) == [4.0]


def test_a_label_needs_an_available_version(own, base, refused):
    with refused() as it:
        own.reload({**base, "labels": {"stable": 9}})
    assert (it.code, it.text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 9 of model base, which is not currently available for inference",
    )


def test_a_label_is_moved_by_a_reload(own, base, refused):
    two = {**base, "versions": [1, 2]}
    own.reload(two)
    own.await_state("base", 1, "AVAILABLE")
    for version, value in ((1, 3.0), (2, 4.0)):
        own.reload({**two, "labels": {"stable": version}})
        response = own.predict("base", {"x": [2.0]}, label="stable")
        assert (response.model_spec.version.value, list(response.outputs["y"].float_val)) == (
            version,
            [value],
        )
    own.reload(base)
    with refused() as it:
        own.predict("base", {"x": [2.0]}, label="stable")
    assert it.text == "Unrecognized servable version label: stable"


def test_reload_with_a_broken_model_tells_why_and_keeps_the_others(own, base, tmp_path, refused):
    broken(tmp_path / "bad" / "1")
    with refused() as it:
        own.reload(base, {"name": "bad", "base_path": tmp_path / "bad"})
    assert it.code is grpc.StatusCode.UNKNOWN
    assert it.text.startswith("1 model(s) did not become available: {{{name: bad version: 1} due to error: ")
    assert own.status("bad")[1][0] == "END"
    assert own.status("bad")[1][1]
    assert list(own.predict("base", {"x": [2.0]}).outputs["y"].float_val) == [4.0]
    own.reload(base)


def test_custom_model_configs_are_not_supported(own, refused):
    config = model_server_config_pb2.ModelServerConfig()
    config.custom_model_config.SetInParent()
    with refused() as it:
        own.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(config=config))
    assert it.code is INVALID


def test_health_names_the_services(server, refused):
    stub = health_pb2_grpc.HealthStub(server.channel)
    for name in ("", "ModelService", "PredictionService", "tensorflow.serving.PredictionService"):
        assert (
            stub.Check(health_pb2.HealthCheckRequest(service=name)).status
            == health_pb2.HealthCheckResponse.SERVING
        )
    with refused() as it:
        stub.Check(health_pb2.HealthCheckRequest(service="nope"))
    assert it.code is grpc.StatusCode.NOT_FOUND


def test_health_is_off_unless_asked_for(own, refused):
    with refused() as it:
        health_pb2_grpc.HealthStub(own.channel).Check(health_pb2.HealthCheckRequest())
    assert it.code is grpc.StatusCode.UNIMPLEMENTED


def test_reflection_lists_and_describes_the_services(server):
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.PredictionService"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.ModelService"),
    ]
    listed, prediction, model = stub.ServerReflectionInfo(iter(requests))
    names = {one.name for one in listed.list_services_response.service}
    assert {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    } <= names
    assert b"MultiInference" in prediction.file_descriptor_response.file_descriptor_proto[0]
    assert b"HandleReloadConfigRequest" in model.file_descriptor_response.file_descriptor_proto[0]
