"""Against TensorFlow itself: the embedded server over the wire, and a LiteRT model on the device.

One subprocess compares the stubs and makes both models, so that the device's tests never load TensorFlow themselves.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.asking.client import AskError, ModelServerClient
from edge.asking.fallback import OnDeviceFallback
from edge.asking.on_device import ModelStore, ModelUnusableError, OnDeviceModel
from edge.camera.photograph import pixels_of
from edge.certificates import CertificateError
from edge.config import FallbackSection, ServerSection
from edge.device import Device
from edge.queue.examination import Answer, Examination, new_id
from edge.queue.queue import Queue
from tests.support.edge_doubles import ModelServer, Network

COMPATIBLE = """
import sys
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (get_model_status_pb2, model_service_pb2_grpc, predict_pb2,
    prediction_service_pb2_grpc)
from core.protos import prediction_service_pb2 as mine
from core.protos import tensor_pb2 as tensors

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
from core.tfserving.answers import read_answers
(answer,) = read_answers(mine.PredictResponse.FromString(reply.SerializeToString()), 1)
assert (answer.probability, answer.decision, answer.zone, answer.model_version) == (0.25, 1, "review", "7")

class Channel:
    def unary_unary(self, path, **_):
        paths.append(path)
from core.protos import prediction_service_pb2_grpc as my_grpc
for stubs in (my_grpc, (prediction_service_pb2_grpc, model_service_pb2_grpc)):
    paths = []
    for module in stubs if isinstance(stubs, tuple) else (stubs,):
        for name in ("PredictionServiceStub", "ModelServiceStub"):
            if hasattr(module, name):
                getattr(module, name)(Channel())
    if stubs is my_grpc:
        needed = set(paths)
assert needed <= set(paths), needed - set(paths)
print("compatible", len(seen), flush=True)
"""

MAKE = """
import sys
from pathlib import Path
import tensorflow as tf

folder = Path(sys.argv[1])

class Served(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(self, image_bytes):
        def brightness(jpeg):
            return tf.reduce_mean(tf.cast(tf.io.decode_image(jpeg, 3, expand_animations=False), tf.float32)) / 255
        probability = tf.map_fn(brightness, image_bytes, fn_output_signature=tf.float32)
        some = tf.ones_like(probability)
        return {
            "probability": probability,
            "decision": tf.cast(probability >= 0.5, tf.int64),
            "threshold": 0.5 * some,
            "zone": tf.where(probability >= 0.5, "refer", "low"),
            "out_of_distribution": 0 * some,
            "model_version": tf.where(some > 0, "1795300007", ""),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def explain(self, image_bytes):
        return {"overlay": image_bytes}

model = Served()
tf.saved_model.save(model, str(folder / "melanoma" / "1795300007"),
    signatures={"serving_default": model.serving_default, "explain": model.explain})

@tf.function(input_signature=[tf.TensorSpec([1, 32, 32, 3], tf.float32)])
def small(pixels):
    return tf.reshape(tf.reduce_mean(pixels) / 255, [1, 1])

converter = tf.lite.TFLiteConverter.from_concrete_functions([small.get_concrete_function()])
(folder / "float.tflite").write_bytes(converter.convert())
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel under `melanoma/` and `float.tflite`; both call a picture's brightness its probability."""
    folder = tmp_path_factory.mktemp("models")
    done = subprocess.run(
        [sys.executable, "-c", COMPATIBLE + MAKE, str(folder)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "compatible.txt").write_text(done.stdout)
    return folder


def test_the_stubs_say_the_same_bytes_as_tensorflow_serving(models: Path) -> None:
    # Fields, numbers, types, enums and method names were compared, in one process with TensorFlow's own.
    assert "compatible 13" in (models / "compatible.txt").read_text()


@pytest.fixture
def real_server(models: Path, tmp_path: Path) -> Iterator[str]:
    """The embedded model server in a process of its own."""
    ports = tmp_path / "ports.json"
    command = [
        sys.executable, "-m", "serving", "--port=-1", "--rest_api_port=0", "--host=127.0.0.1",
        "--model_name=melanoma", f"--model_base_path={models / 'melanoma'}", f"--ports_file={ports}",
    ]  # fmt: skip
    log = tmp_path / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 300
        while not ports.exists() or not ports.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        found = json.loads(ports.read_text())
        yield f"127.0.0.1:{found.get('grpc') or found['port']}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=120)
        finally:
            process.kill()


def brightness(jpeg: bytes) -> float:
    return float(pixels_of(jpeg).mean() / 255)


def test_the_embedded_server_answers_this_device(
    real_server: str, picture: bytes, start: Callable[..., Device], page_of: Callable[..., object]
) -> None:
    section = ServerSection(addresses=(real_server,), attempts=10, backoff_s=1.0, deadline_s=60.0)
    client = ModelServerClient(section, "ward-3")
    answer = client.ask(picture, new_id())
    assert answer.probability == pytest.approx(brightness(picture), abs=0.01)
    assert (answer.decision, answer.zone, answer.threshold) == (1, "refer", 0.5)
    assert answer.model_version == "1795300007"
    assert client.explain(picture, new_id(), "1795300007") == picture
    assert [health.version for health in client.health()] == ["1795300007"]
    with pytest.raises(AskError, match="INVALID_ARGUMENT"):
        client.ask(b"no picture", new_id())
    client.close()
    device = start(server={"addresses": [real_server], "deadline_s": 60.0})
    page = page_of(device)
    shown = page.post("/examinations", data={"press": new_id(), "code": "E2E"})  # type: ignore[attr-defined]
    assert "Refer" in shown.text
    assert "Model 1795300007" in shown.text


def publish(models: Path, folder: Path, version: str, **changes: object) -> Path:
    """A registry folder with one LiteRT model."""
    folder.mkdir(exist_ok=True)
    data = (models / "float.tflite").read_bytes()
    (folder / "melanoma.tflite").write_bytes(data)
    described = {
        "version": version,
        "file": "melanoma.tflite",
        "sha256": hashlib.sha256(data).hexdigest(),
        "threshold": 0.5,
        "zones": {"low_below": 0.2, "refer_from": 0.9},
        **changes,
    }
    (folder / "litert.json").write_text(json.dumps(described))
    return folder


def store(tmp_path: Path, source: Path) -> ModelStore:
    return ModelStore(
        tmp_path / "model", FallbackSection(source=str(source), threads=1), lambda url: url.encode()
    )


def test_a_model_is_taken_over_checked_and_kept(models: Path, tmp_path: Path, picture: bytes) -> None:
    first = store(tmp_path, publish(models, tmp_path / "registry", "1"))
    assert first.update() is True
    assert first.update() is False
    assert first.model is not None
    answer = first.model.answer(picture)
    assert answer.probability == pytest.approx(brightness(picture), abs=0.01)
    assert (answer.zone, answer.origin, answer.preliminary, answer.model_version) == (
        "review",
        "device",
        True,
        "1",
    )
    publish(models, tmp_path / "registry", "2")
    assert first.update() is True
    assert [path.name[:2] for path in (tmp_path / "model").glob("*.tflite")] == ["2-"]
    again = store(tmp_path, tmp_path / "registry")
    again.load()
    assert again.model is not None
    assert again.model.description.version == "2"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, "SHA-256 is"),
        ({"file": "../../etc/passwd"}, "file"),
        ({"threshold": 2}, "threshold"),
        ({"zones": {}}, r"zones\.low_below"),
    ],
)
def test_a_wrong_model_is_never_taken(
    models: Path, tmp_path: Path, picture: bytes, changes: dict[str, object], says: str
) -> None:
    held = store(tmp_path, publish(models, tmp_path / "registry", "1"))
    held.update()
    publish(models, tmp_path / "registry", "2", **changes)
    with pytest.raises(ModelUnusableError, match=says):
        held.update()
    assert held.model is not None
    assert held.model.answer(picture).model_version == "1"


def test_a_file_that_is_no_model_says_so(models: Path, tmp_path: Path) -> None:
    registry = publish(models, tmp_path / "registry", "1", sha256=hashlib.sha256(b"no model").hexdigest())
    (registry / "melanoma.tflite").write_bytes(b"no model")
    with pytest.raises(ModelUnusableError):
        store(tmp_path, registry).update()


def test_a_preliminary_answer_comes_while_no_server_does_and_is_replaced(
    models: Path,
    tmp_path: Path,
    start: Callable[..., Device],
    page_of: Callable[..., object],
    model_server: ModelServer,
    network: Network,
) -> None:
    network.cut()
    device = start(
        server={"addresses": [network.address], "longest_pause_s": 0.2},
        fallback={
            "enabled": True,
            "source": str(publish(models, tmp_path / "registry", "55")),
            "after_s": 0.2,
        },
        kiosk={"wait_s": 0.0},
    )
    page = page_of(device)
    press = new_id()
    page.post("/examinations", data={"press": press, "code": ""})  # type: ignore[attr-defined]

    def one() -> Examination:
        found = device.queue.get(press)
        assert found is not None
        return found

    with device.queue.changed:
        assert device.queue.changed.wait_for(lambda: one().answer is not None, timeout=120)
    assert one().state == "waiting"
    shown = page.get(f"/examinations/{press}").text  # type: ignore[attr-defined]
    assert "Preliminary, on device." in shown
    assert "Model 55" in shown
    assert device.heartbeat()["versions"]["on_device_model"] == "55"
    network.mend()
    device.sender.wake()
    with device.queue.changed:
        assert device.queue.changed.wait_for(lambda: one().settled, timeout=120)
    answer = one().answer
    assert answer is not None
    assert (answer.origin, answer.model_version) == ("server", "1795300000")
    assert model_server.ids() == [press]


class Slow:
    """A model that is asked only when it should be."""

    def __init__(self) -> None:
        self.asked = 0
        self.description = type("Description", (), {"version": "9"})()

    def answer(self, _jpeg: bytes) -> Answer:
        self.asked += 1
        return Answer(0.1, 0, 0.5, "low", 0.0, "9", origin="device")


def test_the_fallback_waits_its_turn(queue: Queue, take: Callable[..., Examination], tmp_path: Path) -> None:
    model = Slow()
    models = ModelStore(tmp_path / "none", FallbackSection(threads=1), lambda url: b"")
    models.model = model  # type: ignore[assignment]
    now = [1_795_300_001.0]
    section = FallbackSection(after_s=3, check_s=60)
    fallback = OnDeviceFallback(queue, models, section, stop=threading.Event(), now=lambda: now[0])
    one = take(captured_at=1_795_300_000.0)
    assert fallback.answer_waiting() == pytest.approx(2.0)
    assert model.asked == 0
    now[0] += 2.5
    fallback.answer_waiting()
    fallback.answer_waiting()
    assert model.asked == 1
    found = queue.get(one.id)
    assert found is not None
    assert found.answer is not None
    assert found.answer.preliminary
    now[0] = 0.0  # the clock was set back: the nurse must not wait for it
    take(captured_at=1_795_300_000.0)
    fallback.answer_waiting()
    assert model.asked == 2


def test_what_a_model_or_a_certificate_does_not_bear_troubles_the_fallback_and_no_more(
    queue: Queue, take: Callable[..., Examination], tmp_path: Path
) -> None:
    class Broken(Slow):
        def answer(self, _jpeg: bytes) -> Answer:
            raise RuntimeError("failed to invoke the interpreter")

    def expired(url: str) -> bytes:
        raise CertificateError(f"{url}: expired on 2026-01-01")

    section = FallbackSection(source="https://fleet.example/model", after_s=0, check_s=60)
    models = ModelStore(tmp_path / "none", section, expired)
    fallback = OnDeviceFallback(queue, models, section, stop=threading.Event(), now=lambda: 2e9)
    fallback._attempt(models.update)
    assert "expired on 2026-01-01" in fallback.trouble
    models.model = Broken()  # type: ignore[assignment]
    take(captured_at=1_795_300_000.0)
    fallback.answer_waiting()
    assert fallback.trouble == "failed to invoke the interpreter"


def test_without_litert_the_device_says_what_to_install(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = store(tmp_path, publish(models, tmp_path / "registry", "1"))
    held.update()
    assert held.model is not None
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ModelUnusableError, match="edge-litert"):
        OnDeviceModel(held.model.description, tmp_path / "model" / "x", 1)
