"""The stubs say the same bytes as TensorFlow Serving's own, and are what their .proto files generate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge import tensors
from edge.protos import generate
from edge.protos import prediction_service_pb2 as mine
from edge.protos import tensor_pb2 as my_tensors

PROTOS = Path(generate.__file__).parent


def test_generating_again_gives_the_committed_files(tmp_path: Path) -> None:
    written = generate.generate(tmp_path)
    committed = sorted(PROTOS.glob("*_pb2*.py*"))
    assert [path.name for path in written] == [path.name for path in committed]
    for fresh, old in zip(written, committed, strict=True):
        assert fresh.read_text() == old.read_text(), f"{old.name}: run python -m edge.protos.generate"


COMPATIBLE = """
import sys
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (get_model_status_pb2, model_service_pb2_grpc, predict_pb2,
    prediction_service_pb2_grpc)
from edge.protos import prediction_service_pb2 as mine
from edge.protos import tensor_pb2 as tensors

def compare(small, large, seen):
    if small.full_name in seen:
        return
    seen.add(small.full_name)
    for field in small.fields:
        other = large.fields_by_name[field.name]
        enum = {field.TYPE_ENUM, field.TYPE_INT32}
        same = field.type == other.type or {field.type, other.type} == enum
        assert field.number == other.number and same, (small.full_name, field.name)
        assert field.is_repeated == other.is_repeated, (small.full_name, field.name)
        assert field.json_name == other.json_name, (small.full_name, field.name)
        if field.message_type is not None:
            assert field.message_type.full_name == other.message_type.full_name
            compare(field.message_type, other.message_type, seen)
    for name, values in small.enum_types_by_name.items():
        theirs = {v.name: v.number for v in large.enum_types_by_name[name].values}
        for value in values.values:
            assert theirs[value.name] == value.number, (name, value.name)

seen = set()
for small, large in (
    (mine.PredictRequest, predict_pb2.PredictRequest),
    (mine.PredictResponse, predict_pb2.PredictResponse),
    (mine.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
    (mine.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
    (tensors.TensorProto, tensor_pb2.TensorProto),
):
    compare(small.DESCRIPTOR, large.DESCRIPTOR, seen)
for value in tensors.DataType.DESCRIPTOR.values:
    assert types_pb2.DataType.Value(value.name) == value.number

request = mine.PredictRequest()
request.model_spec.name = "melanoma"
request.model_spec.version_label = "stable"
request.inputs["image_bytes"].dtype = tensors.DT_STRING
request.inputs["image_bytes"].tensor_shape.dim.add().size = 1
request.inputs["image_bytes"].string_val.append(b"\\xff\\xd8jpeg")
theirs = predict_pb2.PredictRequest.FromString(request.SerializeToString())
assert theirs.model_spec.version_label == "stable"
assert theirs.inputs["image_bytes"].string_val[0] == b"\\xff\\xd8jpeg"
back = mine.PredictRequest.FromString(theirs.SerializeToString())
assert back == request

import tensorflow as tf
reply = predict_pb2.PredictResponse()
reply.model_spec.version.value = 7
for name, value in (("probability", [0.25]), ("decision", [1]), ("threshold", [0.5])):
    dtype = tf.int64 if name == "decision" else tf.float32
    reply.outputs[name].CopyFrom(tf.make_tensor_proto(value, dtype))
reply.outputs["out_of_distribution"].CopyFrom(tf.make_tensor_proto([0.0], tf.float32))
reply.outputs["zone"].CopyFrom(tf.make_tensor_proto([b"review"]))
from edge.tensors import read_answer
answer = read_answer(mine.PredictResponse.FromString(reply.SerializeToString()))
assert (answer.probability, answer.decision, answer.zone, answer.model_version) == (0.25, 1, "review", "7")

class Channel:
    def unary_unary(self, path, **_):
        paths.append(path)
from edge.protos import prediction_service_pb2_grpc as my_grpc
for stubs in (my_grpc, (prediction_service_pb2_grpc, model_service_pb2_grpc)):
    paths = []
    for module in stubs if isinstance(stubs, tuple) else (stubs,):
        for name in ("PredictionServiceStub", "ModelServiceStub"):
            if hasattr(module, name):
                getattr(module, name)(Channel())
    if stubs is my_grpc:
        needed = set(paths)
assert needed <= set(paths), needed - set(paths)
print("compatible", len(seen))
"""


def test_wire_compatible_with_tensorflow_serving_in_one_process() -> None:
    done = subprocess.run([sys.executable, "-c", COMPATIBLE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("compatible 1"), done.stdout


def test_fields_left_out_are_skipped() -> None:
    # Field 14 of TensorProto (resource_handle_val) is not in the subset.
    raw = my_tensors.TensorProto(dtype=my_tensors.DT_FLOAT, float_val=[0.5]).SerializeToString()
    read = my_tensors.TensorProto.FromString(raw + bytes([14 << 3 | 2, 2, 8, 1]))
    assert read.float_val == [0.5]


@pytest.mark.parametrize(
    ("fill", "value"),
    [
        ({"float_val": [0.5]}, 0.5),
        ({"tensor_content": b"\x00\x00\x00\x3f"}, 0.5),
    ],
)
def test_both_of_tensorflows_encodings_are_read(fill: dict[str, Any], value: float) -> None:
    tensor = my_tensors.TensorProto(dtype=my_tensors.DT_FLOAT, **fill)
    assert tensors.numbers(tensor).tolist() == [value]


def test_image_request_names_model_and_signature() -> None:
    request = tensors.image_request(b"jpeg", "melanoma", "serving_default", "canary")
    assert isinstance(request, mine.PredictRequest)
    assert request.model_spec.name == "melanoma"
    assert request.model_spec.signature_name == "serving_default"
    assert request.model_spec.version_label == "canary"
    assert request.inputs["image_bytes"].tensor_shape.dim[0].size == 1
