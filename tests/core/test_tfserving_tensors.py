"""The tensor codec and the model's answer, without a server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.protos import prediction_service_pb2, tensor_pb2
from core.tfserving.answers import (
    ModelAnswer,
    read_answers,
    read_explanation,
)
from core.tfserving.tensors import (
    DTYPES,
    InvalidResponseError,
    dtype_of,
    fill_proto,
    from_proto,
    numbers,
    predict_request,
    to_proto,
)

FLOAT = tensor_pb2.DT_FLOAT


def shaped(dtype: int, shape: list[int], **fields: Any) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=dtype, **fields)  # type: ignore[arg-type]
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize("kind", sorted({row.numpy.str for row in DTYPES.values() if row.numpy}))
def test_arrays_of_every_type_come_back(kind: str) -> None:
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(kind)
    back = from_proto(to_proto(array))
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_the_table_names_every_type_that_travels() -> None:
    left_out = {"DT_INVALID", "DT_RESOURCE", "DT_VARIANT"}
    assert {f"DT_{row.name.upper()}" for row in DTYPES.values()} | left_out == set(tensor_pb2.DataType.keys())
    fields = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name
    assert all(row.field in fields for row in DTYPES.values())


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (0.5, FLOAT, []),
        ([1, 2], tensor_pb2.DT_INT64, [2]),
        (b"jpeg\0", tensor_pb2.DT_STRING, []),
        ([[b"a", b"b"]], tensor_pb2.DT_STRING, [1, 2]),
        (["é"], tensor_pb2.DT_STRING, [1]),
        (np.float16([1.5]), tensor_pb2.DT_HALF, [1]),
        (np.array([1.5], ">f4"), FLOAT, [1]),
        (True, tensor_pb2.DT_BOOL, []),
    ],
)
def test_values_get_tensorflows_types(value: Any, dtype: int, shape: list[int]) -> None:
    proto = to_proto(value)
    assert proto.dtype == dtype
    assert [dim.size for dim in proto.tensor_shape.dim] == shape
    back = from_proto(proto)
    expected = ["é".encode()] if value == ["é"] else value
    assert np.array_equal(back, np.array(expected, back.dtype))


def test_bytes_keep_their_trailing_zeros() -> None:
    assert from_proto(to_proto([b"a\0\0", b"\0"])).tolist() == [b"a\0\0", b"\0"]


@pytest.mark.parametrize("fields", [{"float_val": [0.5]}, {"tensor_content": b"\x00\x00\x00\x3f"}])
def test_both_of_tensorflows_encodings_are_read(fields: dict[str, Any]) -> None:
    assert numbers(shaped(FLOAT, [1], **fields)).tolist() == [0.5]


def test_a_short_list_repeats_its_last_value() -> None:
    assert from_proto(shaped(FLOAT, [2, 2], float_val=[1.0, 2.0])).tolist() == [[1, 2], [2, 2]]
    assert from_proto(shaped(FLOAT, [2])).tolist() == [0, 0]
    assert from_proto(shaped(tensor_pb2.DT_STRING, [2], string_val=[b"a"])).tolist() == [b"a", b"a"]
    assert from_proto(shaped(tensor_pb2.DT_COMPLEX64, [2], scomplex_val=[1.0, 2.0])).tolist() == [1 + 2j] * 2


@pytest.mark.parametrize(
    "proto",
    [
        shaped(FLOAT, [1], tensor_content=b"123"),
        shaped(FLOAT, [2], tensor_content=b"1234"),
        shaped(FLOAT, [1], float_val=[1.0, 2.0]),
        shaped(FLOAT, [-1], float_val=[1.0]),
        shaped(FLOAT, [1 << 40], float_val=[1.0]),
        shaped(FLOAT, [1] * 70, float_val=[1.0]),
        shaped(tensor_pb2.DT_RESOURCE, [1]),
        shaped(0, [1]),
    ],
)
def test_what_makes_no_sense_is_refused(proto: tensor_pb2.TensorProto) -> None:
    with pytest.raises(InvalidResponseError):
        from_proto(proto)


def test_numbers_are_numbers() -> None:
    with pytest.raises(InvalidResponseError, match="type string where a number belongs"):
        numbers(to_proto([b"a"]))
    with pytest.raises(TypeError, match="no TensorFlow type"):
        dtype_of(np.dtype("M8[s]"))


def test_a_predict_request_names_model_signature_and_version() -> None:
    request = predict_request("m", {"image_bytes": [b"jpeg"]}, signature="s", label="canary", outputs=["p"])
    spec = request.model_spec
    assert (spec.name, spec.signature_name, spec.version_label) == ("m", "s", "canary")
    assert request.inputs["image_bytes"].tensor_shape.dim[0].size == 1
    assert list(request.output_filter) == ["p"]
    assert predict_request("m", {}, version=7, label="canary").model_spec.version.value == 7
    assert not predict_request("m", {}).model_spec.HasField("version")


def response(**changed: Any) -> prediction_service_pb2.PredictResponse:
    values = {
        "probability": [0.25, 0.75],
        "decision": np.array([0, 1]),
        "threshold": [0.5, 0.5],
        "zone": ["low", "refer"],
        "out_of_distribution": [0.0, 1.0],
        "model_version": ["of-another-copy", "of-another-copy"],
    } | changed
    made = prediction_service_pb2.PredictResponse()
    made.model_spec.version.value = 7
    for name, value in values.items():
        if value is not None:
            fill_proto(made.outputs[name], value)
    return made


def test_answers_are_read_row_by_row_with_the_version_that_served() -> None:
    first, second = read_answers(response(), 2)
    assert first == ModelAnswer(0.25, 0, 0.5, "low", 0.0, "7")
    assert (second.decision, second.zone) == (1, "refer")
    unnamed = response()
    unnamed.model_spec.ClearField("version")
    assert read_answers(unnamed, 2)[0].model_version == "of-another-copy"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"probability": None}, "the answer has no probability"),
        ({"probability": [0.5]}, "1 values for 2 images"),
        ({"probability": [float("nan"), 0.5]}, "not a number"),
        ({"probability": [1.5, 0.5]}, "not between 0 and 1"),
        ({"threshold": [-1.0, 0.5]}, "threshold is -1.0"),
        ({"decision": [0.5, 1.0]}, "decision is 0.5"),
        ({"zone": ["low"]}, "1 texts for 2 images"),
        ({"zone": ["low", "odd"]}, "zone is 'odd'"),
        ({"zone": [1.0, 2.0]}, "0 texts"),
        ({"out_of_distribution": [b"a", b"b"]}, "where a number belongs"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidResponseError, match=says):
        read_answers(response(**changed), 2)


def test_an_explanation_is_a_picture_before_a_map() -> None:
    made = prediction_service_pb2.PredictResponse()
    assert read_explanation(made) is None
    fill_proto(made.outputs["heat_map"], np.ones((1, 3, 4, 1), np.float32))
    found = read_explanation(made)
    assert isinstance(found, np.ndarray)
    assert found.shape == (3, 4)
    fill_proto(made.outputs["overlay"], [b"\xff\xd8\xffpicture"])
    assert read_explanation(made) == b"\xff\xd8\xffpicture"
