"""Predict over the wire: TF_SERVING's status codes, messages and reply."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from core.tfserving.tensors import fill_proto, from_proto
from serving.protos import TensorProto, predict_pb2
from tests.support.server_process import predict_request

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def test_an_unknown_model_is_not_found(server, refused):
    with refused() as it:
        server.predict("nope", {"x": [1.0]})
    assert (it.code, it.text) == (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nope)")


def test_an_unknown_version_is_not_found(server, refused):
    with refused() as it:
        server.predict("half", {"x": [[1.0]]}, version=9)
    assert (it.code, it.text) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(half, 9)",
    )


def test_a_version_that_the_policy_leaves_out_is_not_found(server, refused):
    with refused() as it:
        server.predict("half", {"x": [[1.0]]}, version=1)
    assert it.code is grpc.StatusCode.NOT_FOUND


def test_an_unknown_label_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("half", {"x": [[1.0]]}, label="none")
    assert (it.code, it.text) == (INVALID, "Unrecognized servable version label: none")


def test_an_unknown_signature_is_a_failed_precondition(server, refused):
    with refused() as it:
        server.predict("half", {"x": [[1.0]]}, signature="nope")
    assert (it.code, it.text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "nope" not found.',
    )


def test_a_signature_of_any_method_is_run(server):
    # predict_util.cc, VerifySignature (2.19.1): only with --enable_signature_method_name_check.
    assert server.predict("half", {"x": [[2.0]]}, signature="odd_method").model_spec.version.value


def test_a_missing_model_spec_is_an_invalid_argument(server, refused):
    request = predict_pb2.PredictRequest()
    fill_proto(request.inputs["x"], [1.0])
    with refused() as it:
        server.prediction.Predict(request)
    assert (it.code, it.text) == (INVALID, "Missing ModelSpec")


def test_an_empty_model_name_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("", {"x": [1.0]}, signature="serving_default")
    assert (it.code, it.text) == (INVALID, "ModelSpec has no name specified.")


def test_a_wrong_input_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("affine", {"z": [1.0]})
    assert (it.code, it.text) == (
        INVALID,
        "input size does not match signature: 1!=1 len({z}) != len({x}). Sent extra: {z}. "
        "Missing but required: {x}.",
    )


def test_an_extra_and_a_missing_input_are_named(server, refused):
    with refused() as it:
        server.predict("affine", {"x": [1.0], "z": [1.0]})
    assert (it.code, it.text) == (
        INVALID,
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    )
    with refused() as it:
        server.predict("many", {"a": [[1.0]]})
    assert it.text == (
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}."
    )


def test_an_unknown_output_filter_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("affine", {"x": [1.0]}, outputs=["q"])
    assert (it.code, it.text) == (
        INVALID,
        "output tensor alias not found in signature: q Outputs expected to be in the set {y}.",
    )


def test_a_duplicate_output_filter_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("affine", {"x": [1.0]}, outputs=["y", "y"])
    assert (it.code, it.text) == (INVALID, "duplicate output tensor alias: y")


def test_a_bad_dtype_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("affine", {"x": np.array([1], np.int64)})
    assert it.code is INVALID
    assert "Expects arg[0] to be float but int64 is provided" in it.text


def test_a_shape_the_kernel_refuses_is_an_invalid_argument(server, refused):
    with refused() as it:
        server.predict("many", {"a": [[1.0, 2.0]]}, signature="matmul")
    assert it.code is INVALID
    assert "Matrix size-incompatible" in it.text


def test_content_that_does_not_fit_the_shape_is_a_parsing_error(server, refused):
    request = predict_request("affine", {"x": [1.0]})
    proto = TensorProto(dtype=1, tensor_content=b"abc")
    proto.tensor_shape.dim.add(size=2)
    request.inputs["x"].CopyFrom(proto)
    with refused() as it:
        server.prediction.Predict(request)
    assert (it.code, it.text) == (INVALID, "tensor parsing error: x")


def test_a_shorter_value_list_repeats_its_last_element(server):
    request = predict_request("affine", {"x": [1.0]})
    proto = TensorProto(dtype=1, float_val=[2])
    proto.tensor_shape.dim.add(size=3)
    request.inputs["x"].CopyFrom(proto)
    assert list(server.prediction.Predict(request).outputs["y"].float_val) == [4.0, 4.0, 4.0]


def test_a_long_error_is_cut_at_1024_characters(server, refused):
    with refused() as it:
        server.predict("affine", {"z" * 3000: [1.0]})
    assert len(it.text) == 1024 + len("...TRUNCATED")
    assert it.text.endswith("...TRUNCATED")


def test_the_reply_carries_name_signature_and_version(server):
    response = server.predict("affine", {"x": [1.0, 2.0]})
    spec = response.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("affine", "serving_default", 2)
    assert list(response.outputs["y"].float_val) == [3.5, 4.0]


def test_values_travel_in_their_fields_not_in_tensor_content(server):
    response = server.predict("affine", {"x": [1.0]})
    assert response.outputs["y"].tensor_content == b""
    assert response.outputs["y"].dtype == 1
    assert [d.size for d in response.outputs["y"].tensor_shape.dim] == [1]


def test_feed_shapes_are_not_checked_against_the_signature(server):
    # The signature says [-1, 1].
    response = server.predict("half", {"x": [2.0]})
    assert list(response.outputs["y"].float_val) == [5.0]


def test_an_output_filter_fetches_only_what_it_names(server):
    response = server.predict("many", {"a": [[1.0]], "b": [[2.0]]}, outputs=["product"])
    assert list(response.outputs) == ["product"]


def test_a_predict_answers_for_classify_signatures_as_well(server):
    from serving.protos import Example

    example = Example()
    example.features.feature["x"].float_list.value.append(2.0)
    response = server.predict(
        "half", {"inputs": [example.SerializeToString()]}, signature="regress_x_to_y", version=2
    )
    assert list(response.outputs["outputs"].float_val) == [4.0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("float64", np.array([0.1, -2.5])),
        ("int32", np.array([-5, 7], np.int32)),
        ("int64", np.array([2**62, -1], np.int64)),
        ("int16", np.array([-300, 5], np.int16)),
        ("int8", np.array([-128, 127], np.int8)),
        ("uint8", np.array([0, 255], np.uint8)),
        ("uint16", np.array([0, 65535], np.uint16)),
        ("uint32", np.array([0, 2**32 - 1], np.uint32)),
        ("uint64", np.array([0, 2**64 - 1], np.uint64)),
        ("bool", np.array([True, False])),
        ("float16", np.array([0.5, -1.5], np.float16)),
        ("complex64", np.array([1 + 2j, -3j], np.complex64)),
    ],
)
def test_every_dtype_comes_back_as_it_went(server, name, values):
    proto = server.predict("many", {"x": values}, signature=f"echo_{name}").outputs["y"]
    assert proto.tensor_content == b""
    if name == "complex64":
        assert list(proto.scomplex_val) == [1.0, 2.0, 0.0, -3.0]
    np.testing.assert_array_equal(from_proto(proto), values)


def test_strings_come_back_as_bytes(server):
    values = [b"", b"a\x00b\x00", b"\xff" * 5000]
    response = server.predict("many", {"text": values}, signature="strings")
    assert list(response.outputs["raw_bytes"].string_val) == values
    assert list(response.outputs["length"].int_val) == [0, 4, 5000]


def test_an_empty_batch_is_answered_with_an_empty_batch(server):
    response = server.predict("affine", {"x": np.zeros([0], np.float32)})
    assert [d.size for d in response.outputs["y"].tensor_shape.dim] == [0]
    assert not response.outputs["y"].float_val


def test_a_scalar_output_has_no_dimensions(server):
    response = server.predict("many", {"a": [[1.0, 2.5]]}, signature="scalar")
    assert list(response.outputs["total"].float_val) == [3.5]
    assert not response.outputs["total"].tensor_shape.dim


def test_a_message_of_eight_megabytes_passes(server):
    values = np.arange(2_000_000, dtype=np.float32)
    response = server.predict("affine", {"x": values})
    assert len(response.outputs["y"].float_val) == 2_000_000
