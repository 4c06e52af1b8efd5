"""The load check in a fresh process, the values clients send, and TensorFlow beside the library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from core.tfserving.tensors import from_proto, to_proto
from serving.engine.check import check_saved_model
from tests.support.model_zoo_paths import broken
from tests.support.server_process import ROOT


def test_a_good_model_loads_and_each_request_has_its_own_answer(zoo):
    check = check_saved_model(
        zoo / "affine" / "1", [{"x": [2.0]}, {"z": [1.0]}, {"x": np.array([4.0], np.float32)}]
    )
    assert check.load_error == ""
    assert [answer.code for answer in check.answers] == ["OK", "INVALID_ARGUMENT", "OK"]
    assert check.answers[0].outputs["y"].tolist() == [3.0]
    assert check.answers[2].outputs["y"].tolist() == [4.0]
    assert not check.ok


def test_a_broken_model_is_reported(tmp_path):
    check = check_saved_model(broken(tmp_path / "1"), [{"x": [2.0]}])
    assert check.load_error
    assert check.answers == ()
    assert "NOT_FOUND" in check_saved_model(tmp_path / "none").load_error


def test_variables_the_loader_does_not_find_are_reported(tmp_path):
    """What `tf.saved_model.save` makes of a Keras 3 model answers in Python and fails in the C++ loader."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    module = tf.Module()
    module.model = model
    module.serve = tf.function(
        lambda x: {"y": model(x)}, input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")]
    )
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.serve)
    assert tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](x=tf.ones([1, 2]))[
        "y"
    ].shape == (1, 1)
    check = check_saved_model(tmp_path / "1", [{"x": [[1.0, 1.0]]}])
    assert check.load_error or check.answers[0].error


@pytest.mark.parametrize(
    "value",
    [
        [1.5, 2.5],
        [[1, 2]],
        [True],
        np.zeros((2, 0, 3), np.float32),
        np.array([1, 2], np.uint8),
        np.array([0.5], np.float16),
    ],
)
def test_values_survive_the_journey(value):
    array = from_proto(to_proto(value))
    np.testing.assert_array_equal(array, np.asarray(value))
    assert array.shape == np.asarray(value).shape


def test_bytes_keep_their_trailing_zeros():
    assert from_proto(to_proto([b"a\0\0", b""])).tolist() == [b"a\0\0", b""]
    assert from_proto(to_proto("text")).tolist() == b"text"


def test_tensorflow_may_be_imported_after_the_library():
    """The other order is that of this very process."""
    code = (
        "from serving.engine.capi import library; assert library().TF_Version(); "
        "import tensorflow as tf; assert float(tf.constant(1.0) + 1) == 2.0"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_server_needs_no_tensorflow_import():
    code = (
        "import sys, serving.server; assert not any(m.startswith('tensorflow.python') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
