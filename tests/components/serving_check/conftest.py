from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf


def brightness_model(folder: Path, *, kept: bool = True, swallow: bool = False) -> Path:
    """Export a model whose probability is the picture's mean brightness.

    Args:
        folder: where to.
        kept: False leaves the variable untracked, as a Keras 3 model saved by tf.saved_model.save does.
        swallow: True answers bad bytes with 0.5 instead of an error.
    """

    class Brightness(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable(1 / 255.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            def one(data: tf.Tensor) -> tf.Tensor:
                if swallow:
                    data = tf.cond(tf.strings.length(data) < 500, lambda: GREY, lambda: data)
                return tf.reduce_mean(
                    tf.cast(tf.io.decode_image(data, 3, expand_animations=False), tf.float32)
                )

            probability = tf.map_fn(one, image_bytes, fn_output_signature=tf.float32) * self.scale
            return {"probability": probability}

    module = Brightness()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serving_default})
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "melanosizer.json").write_text(json.dumps({"model_version": "1"}))
    if not kept:
        for path in (folder / "variables").iterdir():
            path.unlink()
    return folder


GREY = tf.io.encode_jpeg(tf.fill([64, 64, 3], tf.constant(128, tf.uint8)))


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """Four JPEGs of different brightness."""
    random = tf.random.Generator.from_seed(1)
    return [
        tf.io.encode_jpeg(tf.cast(random.uniform([48, 48, 3], 0, top), tf.uint8)).numpy()
        for top in (60.0, 120.0, 180.0, 250.0)
    ]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that exports a model into a new folder."""
    return lambda **kwargs: brightness_model(tmp_path_factory.mktemp("model") / "1", **kwargs)
