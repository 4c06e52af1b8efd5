"""The stubs are what their .proto files generate, and read both of TensorFlow's encodings.

That they say the same bytes as TensorFlow Serving's own is tested in test_tensorflow.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import tensors
from core.protos import generate
from core.protos import prediction_service_pb2 as mine
from core.protos import tensor_pb2 as my_tensors

PROTOS = Path(generate.__file__).parent


def test_generating_again_gives_the_committed_files(tmp_path: Path) -> None:
    written = generate.generate(tmp_path)
    committed = sorted(PROTOS.glob("*_pb2*.py*"))
    assert [path.name for path in written] == [path.name for path in committed]
    for fresh, old in zip(written, committed, strict=True):
        assert fresh.read_text() == old.read_text(), f"{old.name}: run python -m core.protos.generate"


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
