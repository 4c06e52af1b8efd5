import json
from pathlib import Path

import apache_beam as beam

from components.balance import records
from core import tfrecord


def _record(target: int, **features) -> bytes:
    return tfrecord.encode({"target": target, **features})


def test_images_are_counted_by_split_group_value_and_label(tmp_path: Path):
    splits = {
        "train": [_record(1, sex=b"male", age_approx=61.0), _record(0, sex=b"male"), _record(0, sex=b"")],
        "test": [_record(0, sex=b"female", diagnosis=b"nv")],
    }
    patterns = {}
    for name, content in splits.items():
        patterns[name] = str(tmp_path / f"{name}.tfrecord.gz")
        tfrecord.write(patterns[name], content)
    with beam.Pipeline("apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        records.count(records.read(pipeline, patterns)) | beam.io.WriteToText(str(tmp_path / "found"))
    lines = [line for part in tmp_path.glob("found*") for line in part.read_text().splitlines()]
    found = records.collect(lines)
    assert found["train"]["sex"] == {"male": [1, 1], "unknown": [1, 0]}
    assert found["train"]["age_band"] == {"60-74": [0, 1], "unknown": [2, 0]}
    assert found["test"]["diagnosis"] == {"nv": [1, 0]}
    assert found["test"]["source"] == {"unknown": [1, 0]}


def test_the_order_of_beams_lines_does_not_show():
    lines = [
        json.dumps([("train", "sex", value, target), 3]) for value in ("male", "female") for target in (1, 0)
    ]
    there, here = records.collect(lines), records.collect(lines[::-1])
    assert json.dumps(there) == json.dumps(here)
    assert there == {"train": {"sex": {"female": [3, 3], "male": [3, 3]}}}
