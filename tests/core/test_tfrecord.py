from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import tensorflow as tf

from core import tfrecord
from core.tfrecord import DamagedRecordsError


def test_tensorflow_reads_what_is_encoded() -> None:
    values = {"b": b"\xff\x00", "i": -3, "f": 0.1, "big": 2**40}
    example = tf.train.Example.FromString(tfrecord.encode(values))
    found = example.features.feature
    assert found["b"].bytes_list.value == [b"\xff\x00"]
    assert found["i"].int64_list.value == [-3]
    assert found["big"].int64_list.value == [2**40]
    assert found["f"].float_list.value == pytest.approx([0.1])
    assert tfrecord.encode(dict(reversed(values.items()))) == tfrecord.encode(values)


def test_what_tensorflow_wrote_is_parsed() -> None:
    example = tf.train.Example()
    example.features.feature["words"].bytes_list.value.extend([b"a", b"b"])
    example.features.feature["numbers"].int64_list.value.extend([1, 2])
    example.features.feature["empty"].SetInParent()
    found = tfrecord.parse(example.SerializeToString())
    assert found == {"words": [b"a", b"b"], "numbers": [1, 2], "empty": []}
    assert tfrecord.first(found, "numbers") == 1
    assert tfrecord.first(found, "empty") is None
    assert tfrecord.text(found, "words") == "a"
    assert tfrecord.text(found, "absent", "unknown") == "unknown"


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_files_are_read_both_ways(tmp_path: Path, name: str) -> None:
    path, records = tmp_path / name, [b"", b"one", b"x" * 70_000]
    tfrecord.write(path, records)
    assert list(tfrecord.read(path)) == records
    compression = "GZIP" if name.endswith(".gz") else ""
    assert [one.numpy() for one in tf.data.TFRecordDataset(str(path), compression)] == records
    other = tmp_path / f"tensorflow-{name}"
    with tf.io.TFRecordWriter(str(other), compression or None) as writer:
        for record in records:
            writer.write(record)
    assert list(tfrecord.read(other)) == records


def damaged_files(tmp_path: Path) -> dict[str, Path]:
    whole = tmp_path / "whole.tfrecord"
    tfrecord.write(whole, [b"first record", b"second record"])
    data = whole.read_bytes()
    flipped = bytearray(data)
    flipped[14] ^= 1
    cases = {
        "ends within record 1": data[:-3],
        "ends within the header of record 1": data[: 12 + 12 + 4 + 5],
        "the checksum of record 0 differs": bytes(flipped),
        "record 0 is damaged, or this is not a TFRecord file": b"image,label\n1,2\n3,4\n",
    }
    files = {}
    for number, (message, content) in enumerate(cases.items()):
        files[message] = tmp_path / f"{number}.tfrecord"
        files[message].write_bytes(content)
    cut = tmp_path / "cut.tfrecord.gz"
    cut.write_bytes(gzip.compress(data)[:-9])
    files["cut.tfrecord.gz"] = cut
    return files


def test_damage_is_told_with_the_file_and_the_record(tmp_path: Path) -> None:
    for message, path in damaged_files(tmp_path).items():
        with pytest.raises(DamagedRecordsError) as error:
            list(tfrecord.read(path))
        assert message in str(error.value)
        assert str(path) in str(error.value)
    path = tmp_path / "other.tfrecord"
    tfrecord.write(path, [b"\xff\xff\xff"])
    with pytest.raises(DamagedRecordsError, match=r"other.tfrecord: a record is not a tf.Example"):
        list(tfrecord.examples(path))
