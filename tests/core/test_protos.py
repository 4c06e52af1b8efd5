"""The stubs are what their .proto files generate, and agree with TensorFlow's own on the wire."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from core.protos import (
    data_statistics_pb2,
    generate,
    model_server_config_pb2,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
    tensor_pb2,
)

PROTOS = Path(generate.__file__).parent


def test_generating_again_gives_the_committed_files(tmp_path: Path) -> None:
    written = generate.generate(tmp_path)
    committed = sorted(PROTOS.glob("*_pb2*.py*"))
    assert [path.name for path in written] == [path.name for path in committed]
    for fresh, old in zip(written, committed, strict=True):
        assert fresh.read_text() == old.read_text(), f"{old.name}: run python -m core.protos.generate"


def test_fields_left_out_are_skipped() -> None:
    # Field 14 of TensorProto (resource_handle_val) is not in the subset.
    raw = tensor_pb2.TensorProto(dtype=tensor_pb2.DT_FLOAT, float_val=[0.5]).SerializeToString()
    read = tensor_pb2.TensorProto.FromString(raw + bytes([14 << 3 | 2, 2, 8, 1]))
    assert read.float_val == [0.5]


def test_every_name_number_and_type_is_tensorflows() -> None:
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import descriptor_pool

    import serving.protos  # noqa: F401 - registers TensorFlow Serving's own messages

    theirs = descriptor_pool.Default()
    compared = 0
    for module in (tensor_pb2, model_server_config_pb2, prediction_service_pb2):
        for mine in module.DESCRIPTOR.message_types_by_name.values():
            compared += _compare(mine, theirs.FindMessageTypeByName(mine.full_name))
        for name, mine_enum in module.DESCRIPTOR.enum_types_by_name.items():
            known = theirs.FindEnumTypeByName(mine_enum.full_name).values_by_name
            for value in mine_enum.values:
                assert known[value.name].number == value.number, f"{name}.{value.name}"
    assert compared > 50


def test_the_methods_have_tensorflow_servings_paths() -> None:
    pytest.importorskip("tensorflow_serving")
    from serving import protos as theirs

    def paths(*modules: Any) -> set[str]:
        seen: set[str] = set()

        class Channel:
            def unary_unary(self, path: str, **_: Any) -> None:
                seen.add(path)

        for module in modules:
            for name in ("PredictionServiceStub", "ModelServiceStub"):
                if hasattr(module, name):
                    getattr(module, name)(Channel())
        return seen

    mine = paths(prediction_service_pb2_grpc)
    assert len(mine) == 2
    assert mine <= paths(theirs.prediction_service_pb2_grpc, theirs.model_service_pb2_grpc)


def _compare(mine: Descriptor, theirs: Descriptor) -> int:
    for field in mine.fields:
        other: FieldDescriptor = theirs.fields_by_name[field.name]
        same = (field.number, _wire(field), field.is_repeated)
        assert (other.number, _wire(other), other.is_repeated) == same, field.full_name
    nested = sum(_compare(one, theirs.nested_types_by_name[one.name]) for one in mine.nested_types)
    return len(mine.fields) + nested


def _wire(field: FieldDescriptor) -> int:
    # An enum of TensorFlow's that is not copied travels as int32.
    return int(field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type)


def test_no_heavy_library_is_loaded() -> None:
    code = (
        "import core.tfserving.client, core.tfserving.answers, core.protos.data_statistics_pb2, sys;"
        "print([name for name in ('tensorflow', 'tensorflow_serving', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert data_statistics_pb2.Anomalies.DESCRIPTOR.full_name == "tensorflow.metadata.v0.Anomalies"
