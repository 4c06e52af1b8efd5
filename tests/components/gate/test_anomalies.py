from pathlib import Path

import pytest
import tensorflow_data_validation as tfdv
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import anomalies_pb2

import schemas
from components.gate import anomalies
from components.ingest.config import LOCAL_BEAM_OPTIONS
from core import features, tfrecord


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
    assert check.detail == "target: Unexpectedly large value: 2.; the schema is schemas/features.pbtxt"


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
    with pytest.raises(ValueError, match="does not hold TFDV anomalies"):
        list(anomalies.checks({"test": tmp_path}))


NAMES = {
    "three words": lambda n: f"left upper back {n}",
    "dates": lambda n: f"2021-03-{n % 28 + 1:02}",
    "numbers": lambda n: f"{n:06}",
    "sentences": lambda n: f"a lesion on the left upper back of patient number {n}",
}


@pytest.mark.parametrize("kind", NAMES)
def test_what_images_and_places_are_called_refuses_no_data(tmp_path: Path, kind: str):
    found = _validated(tmp_path, [_record(NAMES[kind](n), n % 4 == 0) for n in range(120)])
    guesses = [info.description for info in found.anomaly_info.values()]
    assert guesses or kind in {"numbers", "dates"}, "TFDV guesses at these"
    (check,) = anomalies.checks({"train": _save(tmp_path / "train", found)})
    assert check.passed, (check.detail, guesses)


def test_a_file_that_is_no_image_still_does(tmp_path: Path):
    records = [_record(f"i{n}", n % 4 == 0) for n in range(300)]
    records += [_record(f"j{n}", False, image=b"%PDF-1.4 no image") for n in range(20)]
    (check,) = anomalies.checks({"train": _save(tmp_path / "train", _validated(tmp_path, records))})
    assert not check.passed
    assert "image:" in check.detail


def test_an_empty_split_is_left_to_the_class_balance(tmp_path: Path):
    found = anomalies_pb2.Anomalies(data_missing=True)
    (check,) = anomalies.checks({"test": _save(tmp_path / "test", found)})
    assert check.passed


def _record(name: str, positive: bool, image: bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0 picture") -> bytes:
    return tfrecord.encode(
        {
            features.IMAGE: image,
            features.IMAGE_NAME: name.encode(),
            features.SOURCE: name.encode(),
            features.GROUP_ID: name.encode(),
            features.TARGET: int(positive),
            features.SITE: name.encode(),
        }
    )


def _validated(folder: Path, records: list[bytes]) -> anomalies_pb2.Anomalies:
    """What the pipeline's StatisticsGen and ExampleValidator say of these records."""
    tfrecord.write(folder / "a.tfrecord", records)
    schema = tfdv.load_schema_text(str(Path(schemas.__file__).parent / "features.pbtxt"))
    statistics = tfdv.generate_statistics_from_tfrecord(
        str(folder / "a.tfrecord"),
        stats_options=tfdv.StatsOptions(schema=schema, enable_semantic_domain_stats=True),
        pipeline_options=PipelineOptions(list(LOCAL_BEAM_OPTIONS)),
    )
    return tfdv.validate_statistics(statistics, schema)
