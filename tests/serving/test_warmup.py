"""Warm-up records beside a model."""

from __future__ import annotations

import pytest

from core import tfrecord
from serving.engine.model import LoadOptions, Model
from serving.engine.warmup import FILE, MAX_RECORDS, warm_up
from serving.protos import prediction_log_pb2
from serving.status import Code, ServingError
from tests.support.server_process import ServerProcess, predict_request


def record(inputs, signature=""):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("any", inputs, signature=signature))
    return log.SerializeToString()


def write_records(path, records):
    path.parent.mkdir(exist_ok=True)
    tfrecord.write(path, records)


@pytest.fixture
def model(pick):
    model = Model("half", 1, pick("half", 1) / "1", LoadOptions())
    yield model
    model.close()


def test_no_file_is_no_warm_up(model):
    assert warm_up(model) == 0


def test_records_are_replayed(model):
    write_records(model.folder / FILE, [record({"x": [[1.0]]})] * 3)
    assert warm_up(model) == 3


def test_classify_regress_and_multi_inference_are_replayed(model):
    logs = [prediction_log_pb2.PredictionLog() for _ in range(3)]
    logs[0].classify_log.request.model_spec.signature_name = "classify_x_to_y"
    logs[1].regress_log.request.model_spec.signature_name = "regress_x_to_y"
    task = logs[2].multi_inference_log.request.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name, task.model_spec.signature_name = "half", "regress_x_to_y"
    for log in (logs[0].classify_log, logs[1].regress_log, logs[2].multi_inference_log):
        example = log.request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(1.0)
    write_records(model.folder / FILE, [log.SerializeToString() for log in logs])
    assert warm_up(model) == 3


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (lambda: [record({"q": [1.0]})], Code.INVALID_ARGUMENT, "Sent extra: {q}"),
        (lambda: [record({"x": [[1.0]]}, "no")], Code.FAILED_PRECONDITION, "not found"),
        (lambda: [b"\xff\xff\xff"], Code.INVALID_ARGUMENT, "Failed to parse warmup record"),
        (
            lambda: [b""] * (MAX_RECORDS + 1),
            Code.INVALID_ARGUMENT,
            "Number of warmup records exceeds the maximum (1000)",
        ),
        (
            lambda: [prediction_log_pb2.PredictionLog(session_run_log={}).SerializeToString()],
            Code.UNIMPLEMENTED,
            "Unsupported log_type for warmup",
        ),
    ],
)
def test_a_failing_record_fails_the_load(model, data, code, text):
    write_records(model.folder / FILE, data())
    with pytest.raises(ServingError) as error:
        warm_up(model)
    assert error.value.code is code
    assert text in error.value.message


def test_a_file_that_is_no_record_file_is_data_loss(model):
    path = model.folder / FILE
    path.parent.mkdir()
    path.write_bytes(b"this is not a TFRecord file at all")
    with pytest.raises(ServingError) as error:
        warm_up(model)
    assert error.value.code is Code.DATA_LOSS
    assert "Please verify your warmup data is in TFRecord format." in error.value.message


def test_a_record_with_a_wrong_checksum_is_data_loss(model):
    # saved_model_warmup_util.cc (2.19.1) reads with RecordReader, which checks the data as well as the length.
    write_records(model.folder / FILE, [record({"x": [[1.0]]})])
    path = model.folder / FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ServingError) as error:
        warm_up(model)
    assert error.value.code is Code.DATA_LOSS


def test_a_version_whose_warm_up_fails_is_not_served(pick, tmp_path):
    base = pick("half", 1)
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={base}", "--model_name=m", "--max_num_load_retries=0",
        "--file_system_poll_wait_seconds=0.1",
    ) as server:  # fmt: skip
        elsewhere = pick("half", 2, to=tmp_path / "elsewhere")
        write_records(elsewhere / "2" / FILE, [record({"q": [1.0]})])
        (elsewhere / "2").rename(base / "2")
        assert "Sent extra: {q}" in server.await_state("m", 2, "END")
        assert server.predict("m", {"x": [[2.0]]}).model_spec.version.value == 1
