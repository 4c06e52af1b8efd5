from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.gate import anomalies


def _save(folder: Path, message: anomalies_pb2.Anomalies) -> Path:
    folder.mkdir()
    (folder / anomalies.FILE_NAME).write_bytes(message.SerializeToString())
    return folder


def test_a_clean_split_gives_one_check_that_holds(tmp_path: Path):
    folder = _save(tmp_path / "train", anomalies_pb2.Anomalies())
    (check,) = anomalies.checks({"train": folder})
    assert check.passed
    assert check.slice == "split:train"


def test_an_error_fails_and_names_the_feature(tmp_path: Path):
    message = anomalies_pb2.Anomalies()
    message.anomaly_info["target"].severity = anomalies_pb2.AnomalyInfo.ERROR
    message.anomaly_info["target"].description = "Unexpectedly large value: 2."
    (check,) = anomalies.checks({"eval": _save(tmp_path / "eval", message)})
    assert not check.passed
    assert check.detail == "target: Unexpectedly large value: 2."


def test_a_warning_does_not_stop_a_run(tmp_path: Path):
    message = anomalies_pb2.Anomalies()
    message.anomaly_info["sex"].severity = anomalies_pb2.AnomalyInfo.WARNING
    (check,) = anomalies.checks({"eval": _save(tmp_path / "eval", message)})
    assert check.passed


def test_an_anomaly_of_the_whole_set_fails(tmp_path: Path):
    message = anomalies_pb2.Anomalies()
    message.dataset_anomaly_info.description = "The number of examples is 0."
    (check,) = anomalies.checks({"test": _save(tmp_path / "test", message)})
    assert not check.passed
    assert "data set: The number of examples is 0." in check.detail


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / anomalies.FILE_NAME).write_bytes(b"\xff\xff\xff")
    with pytest.raises(ValueError, match="holds no TFDV anomalies"):
        list(anomalies.checks({"test": tmp_path}))
