"""Images: the guard before the graph, and the records after it."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from pathlib import Path

import grpc
import jsonschema
import pytest
from PIL import Image

from core.images.header import HeaderError, read_header
from core.protos.tensor_pb2 import DT_STRING
from serving.api.image_guard import ImageGuard
from serving.operations.memory import MemoryBudget, Reservation
from serving.operations.metrics import Metrics
from serving.options import Options
from serving.protos import predict_pb2
from serving.status import ServingError
from tests.support.server_process import ROOT, ServerProcess, until

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def png(width, height):
    """A PNG whose header says this size and which holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def encoded(form, size=(40, 30), mode="RGB", **options):
    out = io.BytesIO()
    Image.new(mode, size, 100 if mode != "RGB" else (10, 20, 30)).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (encoded("JPEG"), ("jpeg", 40, 30)),
        (encoded("JPEG", progressive=True), ("jpeg", 40, 30)),
        (encoded("JPEG", mode="L"), ("jpeg", 40, 30)),
        (encoded("JPEG", mode="CMYK"), ("jpeg", 40, 30)),
        (encoded("JPEG", comment=b"x" * 60000), ("jpeg", 40, 30)),
        (encoded("PNG"), ("png", 40, 30)),
        (png(30_000, 30_000), ("png", 30_000, 30_000)),
    ],
)
def test_headers_are_read(data, wanted):
    header = read_header(data)
    assert (header.format, header.width, header.height) == wanted


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a" + b"\0" * 20, b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8" + b"\xff" * 100, b"text", b"\x89PNG\r\n\x1a\n",
     png(0, 5), encoded("JPEG")[:30], b"\xff\xd8\xff\xe0\x00\x00" * 50],
)  # fmt: skip
def test_what_is_no_image_is_told(data):
    with pytest.raises(HeaderError):
        read_header(data)


def test_headers_of_real_images_are_what_pillow_says(ham10000: Path):
    for path in sorted((ham10000 / "images").glob("*.jpg"))[:50] or sorted(ham10000.glob("*.jpg"))[:50]:
        with Image.open(path) as image:
            assert read_header(path.read_bytes()).pixels == image.width * image.height


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (b"", "image_bytes[1] is empty"),
        (b"hello world", "image_bytes[1] is neither JPEG nor PNG (begins with 68 65 6c 6c 6f 20 77 6f)"),
        (png(30_000, 30_000), "image_bytes[1] has 30000 x 30000 pixels, more than 1000000 in all"),
        (b"\xff\xd8\xff" + b"\0" * 3_000_000, "image_bytes[1] has 3000003 bytes, more than 2000000"),
        (b"\xff\xd8\xff\xd9", "image_bytes[1] is a JPEG without a frame header"),
    ],
)
def test_a_bad_image_is_an_invalid_argument_naming_its_index(server, refused, jpeg, bad, text):
    with refused() as it:
        server.predict("images", {"image_bytes": [jpeg, bad, jpeg]})
    assert (it.code, it.text) == (INVALID, text)
    assert server.predict("images", {"image_bytes": [jpeg]}).outputs["decision"].int64_val[0] == 1


def test_refused_images_are_counted(server, jpeg, refused):
    before = server.metrics().get('melanosizer_serving_refused_images{reason="format"}', 0)
    with refused():
        server.predict("images", {"image_bytes": [b"no image"]})
    assert server.metrics()['melanosizer_serving_refused_images{reason="format"}'] == before + 1


def test_the_whole_contract_of_the_model_is_answered(server, jpeg):
    response = server.predict("images", {"image_bytes": [jpeg, encoded("PNG")]}, version=1)
    assert {k: v.dtype for k, v in response.outputs.items()} == {
        "probability": 1, "decision": 9, "threshold": 1, "zone": 7, "out_of_distribution": 1, "model_version": 7,
    }  # fmt: skip
    assert list(response.outputs["zone"].string_val) == [b"refer", b"low"]


def test_each_image_of_a_request_leaves_a_record(pick, tmp_path, jpeg):
    from tests.support.server_process import predict_request

    folder = tmp_path / "records"
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('images', 1)}", "--model_name=images",
        f"--request_log_dir={folder}",
    ) as server:  # fmt: skip
        request = predict_request("images", {"image_bytes": [jpeg, encoded("PNG")]}, version=1)
        server.prediction.Predict(request, metadata=(("x-request-id", "id-7"),))
        server.stop()  # which writes what waits
    records = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert [record["request_id"] for record in records] == ["id-7", "id-7"]
    schema = json.loads((ROOT / "schemas" / "prediction_record.schema.json").read_text())
    for record in records:
        jsonschema.validate(record, schema)
    first = records[0]
    assert first["image"] == {
        "sha256": hashlib.sha256(jpeg).hexdigest(), "bytes": len(jpeg), "format": "jpeg", "width": 64, "height": 48,
        "channel_mean": [128.0, 128.0, 128.0], "channel_std": [0.0, 0.0, 0.0],
    }  # fmt: skip
    assert (first["model"], first["model_version"], first["decision"], first["zone"]) == (
        "images",
        "1",
        1,
        "refer",
    )
    assert (first["caller"], first["entrypoint"]) == ("ipv4:127.0.0.1", "GRPC")
    assert first["probability"] == pytest.approx(128 / 255, abs=1e-3)
    assert [r["row"] for r in records] == [0, 1]
    assert "data" not in first["image"]


def test_requests_without_a_row_leave_no_line_and_no_error(pick, tmp_path):
    folder = tmp_path / "records"
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=affine",
        f"--request_log_dir={folder}",
    ) as server:  # fmt: skip
        for shape in ([0], [2**62, 0]):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "affine"
            request.inputs["x"].dtype = 1
            for size in shape:
                request.inputs["x"].tensor_shape.dim.add(size=size)
            server.prediction.Predict(request)
        server.predict("affine", {"x": [2.0]})
        server.stop()
        assert "could not be made" not in server.log()
    records = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert records[-1]["outputs"] == {"y": 3.0}


def test_records_keep_images_when_asked_are_sampled_and_rotate(pick, tmp_path, jpeg):
    records = tmp_path / "records"
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('images', 1)}", "--model_name=images",
        f"--request_log_dir={records}", "--request_log_images", "--request_log_max_bytes=4096", "--request_log_backups=2",
    ) as server:  # fmt: skip
        for _ in range(12):
            server.predict("images", {"image_bytes": [jpeg]})
        server.stop()
    names = sorted(path.name for path in records.iterdir())
    assert "predictions.jsonl.1" in names
    assert "predictions.jsonl.2" in names
    assert "predictions.jsonl.3" not in names
    record = json.loads((records / "predictions.jsonl.1").read_text().splitlines()[0])
    assert record["image"]["data"]


def test_a_full_disk_loses_records_and_never_an_answer(pick, tmp_path, jpeg):
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    records = tmp_path / "records"
    records.mkdir()
    # Every write to it fails with ENOSPC.
    (records / "predictions.jsonl").symlink_to("/dev/full")
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('images', 1)}", "--model_name=images",
        f"--request_log_dir={records}", f"--monitoring_config_file={monitoring}",
    ) as server:  # fmt: skip
        for _ in range(5):
            server.predict("images", {"image_bytes": [jpeg]})
        until(lambda: server.metrics().get('melanosizer_serving_prediction_records{fate="failed"}') == 5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": [1000]}, "comes with 1 values for a shape of 1000"),
        ({"shape": []}, "comes with 2 values for a shape of 1"),
        ({"content": True}, "comes as tensor_content"),
    ],
)
def test_images_that_tensorflow_would_find_where_nobody_looks_are_refused(change, says, jpeg):
    request = predict_pb2.PredictRequest()
    tensor = request.inputs["image_bytes"]
    tensor.dtype = DT_STRING
    for size in change.get("shape", [1]):
        tensor.tensor_shape.dim.add(size=size)
    if change.get("content"):
        tensor.tensor_content = b"\x01" + jpeg
    else:
        tensor.string_val.extend([jpeg] * (2 if change.get("shape") == [] else 1))
    metrics = Metrics()
    guard = ImageGuard(Options(), metrics, Reservation(MemoryBudget(1 << 30, metrics)))
    with pytest.raises(ServingError, match=says):
        guard.check(request)
