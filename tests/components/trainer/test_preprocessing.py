"""What Transform computed over the made-up records, against numpy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.trainer.fit.training import read_moments
from components.transform import images
from components.transform.preprocessing import AGE_KNOWN, AGE_SCALED, SEX_ID, SITE_ID
from core import features
from tests.support import tiny_trainer


def rows(data: tiny_trainer.Data) -> tuple[dict[str, np.ndarray], dict[str, tf.Tensor]]:
    output = tft.TFTransformOutput(data.transform)
    layer = output.transform_features_layer()
    files = sorted(tf.io.gfile.glob(data.train))
    serialized = tf.data.TFRecordDataset(files, "GZIP").batch(1000).get_single_element()
    raw = tf.io.parse_example(serialized, output.raw_feature_spec())
    return {key: value.numpy() for key, value in layer(raw).items()}, raw


def test_channel_moments_are_those_of_the_training_pixels(data: tiny_trainer.Data) -> None:
    _, raw = rows(data)
    pixels = images.decode_batch(raw[features.IMAGE], 64).numpy().astype(np.float64)
    moments = read_moments(data.transform, [data.train])
    np.testing.assert_allclose(moments.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(moments.std, pixels.std(axis=(0, 1, 2)), rtol=1e-3)


def test_age_is_scaled_and_its_absence_is_the_mean(data: tiny_trainer.Data) -> None:
    found, _ = rows(data)
    known = found[AGE_KNOWN] == 1
    assert known.sum() == 64
    np.testing.assert_allclose(found[AGE_SCALED][known].mean(), 0.0, atol=1e-4)
    np.testing.assert_allclose(found[AGE_SCALED][known].std(), 1.0, rtol=1e-3)
    assert (found[AGE_SCALED][~known] == 0).all()


def test_unknown_sex_and_site_are_zero_and_known_ones_are_not(data: tiny_trainer.Data) -> None:
    found, raw = rows(data)
    sexes = tf.sparse.to_dense(raw[features.SEX], default_value=b"").numpy().ravel()
    assert set(found[SEX_ID][sexes == b""]) == {0}
    assert len(set(found[SEX_ID][sexes == b"male"])) == 1
    assert set(found[SEX_ID]) == {0, 1, 2}
    assert set(found[SITE_ID]) == {0, 1}
