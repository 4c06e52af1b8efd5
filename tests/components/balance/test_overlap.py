from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf

from components.balance import records
from components.balance.records import Overlap


def _record(group: str, image: bytes) -> bytes:
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in (("group_id", group.encode()), ("image", image))
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _find(folder: Path, splits: dict[str, list[bytes]]) -> Overlap:
    patterns = {}
    for name, content in splits.items():
        patterns[name] = str(folder / f"{name}.tfrecord.gz")
        with tf.io.TFRecordWriter(patterns[name], "GZIP") as writer:
            for record in content:
                writer.write(record)
    output = folder / "found"
    with beam.Pipeline("apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        records.overlaps(records.read(pipeline, patterns)) | beam.io.WriteToText(str(output))
    return records.summarise(line for part in folder.glob("found*") for line in part.read_text().splitlines())


def test_splits_without_anything_in_common_have_no_overlap(tmp_path: Path):
    found = _find(
        tmp_path,
        {"train": [_record("a", b"1"), _record("a", b"2")], "eval": [_record("b", b"3")], "test": []},
    )
    assert found == Overlap(groups=0, images=0, named=())
    assert all(check.passed for check in found.checks())


def test_a_patient_and_an_image_on_two_sides_are_both_found_and_named(tmp_path: Path):
    found = _find(
        tmp_path,
        {
            "train": [_record("a", b"1"), _record("b", b"2")],
            "eval": [_record("a", b"3")],
            "test": [_record("c", b"2")],
        },
    )
    assert (found.groups, found.images) == (1, 1)
    assert found.named[0] == "group a in eval, train"
    assert found.named[1].endswith(" in test, train")
    assert [check.passed for check in found.checks()] == [False, False]


@pytest.mark.parametrize("copies", [1, 30])
def test_only_a_few_overlaps_are_named(copies: int):
    found = records.summarise(f"group {number:02d} in eval, test" for number in range(copies))
    assert found.groups == copies
    assert len(found.named) == min(copies, records.EXAMPLES_NAMED)
