"""The pictures that warm a server up are drawn, and no patient's."""

from __future__ import annotations

import io

import tensorflow as tf
from PIL import Image

from components.trainer.export import saved_model
from core import features
from tests.support import tiny_trainer


def test_they_are_jpegs_of_a_capture_s_size_and_the_same_every_time() -> None:
    first = saved_model.warmup_pictures()
    assert first == saved_model.warmup_pictures()
    for data in first:
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert min(picture.size) >= 450
        assert len(data) < 300_000
    assert len(set(first)) == len(first)


def test_what_is_pushed_holds_no_picture_of_the_data(scratch: tiny_trainer.Trained) -> None:
    held = (scratch.model / "assets.extra" / "tf_serving_warmup_requests").read_bytes()
    assert all(picture in held for picture in saved_model.warmup_pictures())
    for pattern in (scratch.data.train, scratch.data.evaluation):
        for record in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern), "GZIP").as_numpy_iterator():
            row = tf.train.Example.FromString(record).features.feature
            assert row[features.IMAGE].bytes_list.value[0] not in held
