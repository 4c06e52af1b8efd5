from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas
from components.ingest import shard
from components.ingest.shard import ChangedError, Record, ShardJob
from core import features


def test_tensorflow_reads_a_shard(tmp_path: Path) -> None:
    records = []
    for index in range(5):
        path = tmp_path / f"{index}.jpg"
        path.write_bytes(bytes([index]) * (1000 + index))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        records.append(Record(str(path), sha256, {features.TARGET: index}))
    path = tmp_path / "a.tfrecord.gz"
    written = shard.write(ShardJob(str(path), tuple(records)))
    data = tf.data.TFRecordDataset(str(path), compression_type="GZIP")
    examples = [tf.train.Example.FromString(record.numpy()) for record in data]
    assert [e.features.feature[features.TARGET].int64_list.value[0] for e in examples] == [0, 1, 2, 3, 4]
    assert examples[3].features.feature[features.IMAGE].bytes_list.value == [b"\x03" * 1003]
    assert len(examples) == 5
    assert written.bytes == path.stat().st_size
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    again = shard.write(ShardJob(str(tmp_path / "b.tfrecord.gz"), tuple(records)))
    assert again.sha256 == written.sha256
    assert gzip.decompress(path.read_bytes())


def test_an_image_that_changed_stops_the_job(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"new")
    job = ShardJob(str(tmp_path / "x.gz"), (Record(str(path), hashlib.sha256(b"old").hexdigest(), {}),))
    with pytest.raises(ChangedError, match=r"a.jpg changed while it was ingested"):
        shard.write(job)
    path.unlink()
    with pytest.raises(ChangedError, match="was there a moment ago"):
        shard.write(job)


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(10, 4, [3, 3, 4]), (0, 4, [0]), (4, 4, [4]), (5, 4, [2, 3])]
)
def test_shards_are_of_nearly_equal_length(count: int, size: int, sizes: list[int]) -> None:
    records = [Record(str(index), "", {}) for index in range(count)]
    cut = shard.batches(records, size)
    assert [len(part) for part in cut] == sizes
    assert [record for part in cut for record in part] == records


def test_the_schema_names_the_features() -> None:
    schema = text_format.Parse(
        (Path(schemas.__file__).parent / "features.pbtxt").read_text(), schema_pb2.Schema()
    )
    by_name = {feature.name: feature for feature in schema.feature}
    required = {features.IMAGE, features.IMAGE_NAME, features.SOURCE, features.GROUP_ID, features.TARGET}
    optional = {features.DIAGNOSIS, features.SEX, features.AGE, features.SITE}
    assert set(by_name) == required | optional
    assert all(by_name[name].presence.min_fraction == 1 for name in required)
    assert all(by_name[name].presence.min_fraction == 0 for name in optional)
    assert by_name[features.IMAGE].HasField("image_domain")
    target = by_name[features.TARGET].int_domain
    assert (target.min, target.max, target.is_categorical) == (0, 1, True)
    # A value nobody has seen is kept as unknown, it is no anomaly.
    assert not by_name[features.SEX].HasField("string_domain")
    assert not by_name[features.SITE].HasField("string_domain")
