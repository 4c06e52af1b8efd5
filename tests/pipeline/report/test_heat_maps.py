"""Missed melanomas beside their heat maps, as the run's own model draws them."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.evaluator import predictions
from components.trainer.export.explain import OVERLAY
from core.features import IMAGE_BYTES
from pipeline.report import heat_maps, page
from pipeline.report.lesions import Lesions
from tests.pipeline.report import fake_run


class Negatives(tf.Module):
    """Explains every picture by its negative, a square as the Trainer's overlays are."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=IMAGE_BYTES)])
    def explain(self, image_bytes):
        def negative(image):
            pixels = tf.image.resize(255 - tf.io.decode_jpeg(image, channels=3), [48, 48])
            return tf.io.encode_jpeg(tf.cast(tf.round(pixels), tf.uint8), quality=95)

        signature = tf.TensorSpec([], tf.string)
        return {OVERLAY: tf.map_fn(negative, image_bytes, fn_output_signature=signature)}


def save(folder, *signatures):
    model = Negatives()
    tf.saved_model.save(model, str(folder), signatures=dict.fromkeys(signatures, model.explain))


def colour(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        return picture.size, np.asarray(picture.convert("RGB"), float).mean(axis=(0, 1))


def test_missed_melanomas_stand_beside_their_own_heat_maps_and_nothing_else_does(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=1000, others=60)
    save(result.model, "explain")
    html = page.write(result, workspace).read_text(encoding="utf-8")
    answers = predictions.load(result.uri("Evaluator", "evaluation"))
    missed = sorted(
        (a.probability, a.image_name) for a in answers if a.target and a.probability < a.threshold
    )
    assert len(missed) > 12
    images = {name: uri for uri, name in re.findall(r'<img src="([^"]+)" alt="([^"]+)">', html)}
    shown = [name.removeprefix("heat map of ") for name in images if name.startswith("heat map of ")]
    assert shown == [name for _, name in missed[:12]]
    assert "Beside it the heat map" in html
    for name in shown:
        (size, picture), (heat_size, heat) = colour(images[name]), colour(images[f"heat map of {name}"])
        assert size == heat_size == (32, 24)
        np.testing.assert_allclose(heat, 255 - picture, atol=6)


@pytest.mark.parametrize("signatures", [(), ("serving_default",)])
def test_a_model_that_explains_nothing_has_no_heat_maps_and_no_complaint(signatures, tmp_path):
    result, workspace = fake_run.write(tmp_path, images=60)
    if signatures:
        save(result.model, *signatures)
    html = page.write(result, workspace).read_text(encoding="utf-8")
    assert "Worst errors" in html
    assert "heat map" not in html
    assert "saved_model" not in html


def test_a_broken_model_is_named_and_the_report_is_written(tmp_path):
    result, workspace = fake_run.write(tmp_path, images=240, others=60)
    (Path(result.model) / "saved_model.pb").write_bytes(b"no model")
    html = page.write(result, workspace).read_text(encoding="utf-8")
    assert "saved_model.pb: OSError" in html
    assert "heat map of" not in html


def test_an_image_the_model_refuses_is_an_error_that_names_the_model(tmp_path):
    save(tmp_path, "explain")
    found = Lesions(pictures={"a": fake_run.jpeg(1)}, originals={"a": b"no picture"})
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: signature explain")):
        heat_maps.of(tmp_path, found, ["a"])
    assert heat_maps.of(tmp_path, found, ["b"]) == {}
