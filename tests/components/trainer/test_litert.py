from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from components.trainer.export import litert
from components.trainer.model.backbones import registry
from components.trainer.model.network import embedding
from components.trainer.settings import HeadConfig
from components.transform import images

SIZE = 48


class Answer:
    """A network whose probability is calibrated, as a function of decoded pictures."""

    def __init__(self, backbone: str, size: int, seed: int = 3) -> None:
        keras.utils.set_random_seed(seed)
        built = (
            registry.build(backbone, size=size)
            if backbone != "tiny_cnn"
            else registry.build(backbone, size=size, weights="none")
        )
        self.scale = 1.0 if built.expects == "rgb" else 1 / 64.0
        self.features = keras.Model(built.inputs, embedding(HeadConfig(dropout=0.0), built.features))
        logits = keras.layers.Dense(1, name="head_logits")(self.features.output)
        self.network = keras.Model(built.inputs, logits)

    def __call__(self, pictures: tf.Tensor) -> tf.Tensor:
        logits = self.network(tf.cast(pictures, tf.float32) * self.scale, training=False)[:, 0]
        return tf.sigmoid(0.7 * logits - 0.2)


@pytest.fixture(scope="module")
def tiny() -> Answer:
    return Answer("tiny_cnn", SIZE)


def _noise(count: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-5), ("float16", 5e-3), ("int8", 0.05)])
def test_the_converted_answer_is_the_answer(tiny: Answer, kind: litert.Kind, tolerance: float) -> None:
    pictures = _noise(8)
    model = litert.convert(tiny, SIZE, kind, pictures)
    said = litert.probabilities(model, pictures)
    assert said.dtype == np.float32
    np.testing.assert_allclose(said, tiny(pictures).numpy(), atol=tolerance)
    assert np.isfinite(litert.latency_ms(model, pictures[0], runs=3))


def test_int8_computes_in_int8(tiny: Answer) -> None:
    small = litert.convert(tiny, SIZE, "int8", _noise(4))
    assert len(small) < len(litert.convert(tiny, SIZE, "float32"))
    kinds = litert.operations(small)
    # Into 8 bits once, before the first convolution, and out once, after the last: the tail stays in float32.
    assert (kinds["QUANTIZE"], kinds["DEQUANTIZE"]) == (1, 1)


def test_shrinking_by_matrices_is_the_projects_own_resize() -> None:
    pictures = _noise(2, 60)
    for size in (60, 47, 24):
        ours = tf.function(lambda p, size=size: litert.view(p, size))(tf.constant(pictures))
        np.testing.assert_allclose(ours, images.view(tf.constant(pictures), size), atol=1e-2)


def test_shrinking_converts(tiny: Answer) -> None:
    model = litert.convert(lambda p: tiny(litert.view(p, SIZE)), 60, "float32")
    pictures = _noise(2, 60)
    expected = tiny(images.view(tf.constant(pictures), SIZE))
    np.testing.assert_allclose(litert.probabilities(model, pictures), expected, atol=1e-4)


def test_an_operation_litert_lacks_is_named(tiny: Answer) -> None:
    with pytest.raises(litert.ConversionError, match=r"LiteRT lacks tf\.ScaleAndTranslate"):
        litert.convert(lambda p: tiny(images.view(p, SIZE)), 60, "float32")


def test_mistakes_name_what_is_valid(tiny: Answer) -> None:
    with pytest.raises(ValueError, match="'int4' is unknown; valid: float32, float16, int8"):
        litert.convert(tiny, SIZE, "int4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="int8 needs representative pictures"):
        litert.convert(tiny, SIZE, "int8")


def test_parity_says_what_is_wrong() -> None:
    targets = np.array([0, 0, 1, 1])
    reference = np.array([0.1, 0.2, 0.6, 0.9], np.float32)
    assert litert.parity(targets, reference, reference, 0.5).complaints() == []
    swapped = litert.parity(targets, reference, np.array([0.1, 0.7, 0.4, 0.9], np.float32), 0.5)
    assert swapped.auc_lost == pytest.approx(0.25)
    assert swapped.agreement == 0.5
    assert len(swapped.complaints()) == 2
    broken = litert.parity(targets, reference, np.full(4, np.nan, np.float32), 0.5)
    assert len(broken.complaints()) == 2


def test_the_device_reads_what_is_written(tiny: Answer, tmp_path: Path) -> None:
    from edge.asking.on_device import Description

    model = litert.convert(tiny, SIZE, "float16")
    chosen = litert.Export("float16", model, litert.Parity(0.0, 1.0, 0.001, 8), 1.5)
    litert.write(tmp_path, chosen, version="1700000000", threshold=0.3, low_below=0.1, refer_from=0.4)
    text = (tmp_path / litert.DESCRIPTION_FILE).read_text()
    described = Description.model_validate_json(text)
    assert described.sha256 == hashlib.sha256((tmp_path / described.file).read_bytes()).hexdigest()
    assert (described.threshold, described.zones.refer_from) == (0.3, 0.4)
    assert json.loads(text)["bytes"] == len(model)


@pytest.mark.slow
@pytest.mark.real_data
def test_efficientnet_lite_keeps_its_answers_on_real_lesions(ham10000: Path) -> None:
    size, each = 96, 60
    with (ham10000 / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [r for t in "01" for r in [r for r in rows if r["target"] == t][:each]]
    targets = np.array([int(r["target"]) for r in chosen])
    pictures = np.stack(
        [
            images.decode(tf.constant((ham10000 / "images" / f"{r['image_name']}.jpg").read_bytes()), size)
            for r in chosen
        ]
    )
    answer = Answer("efficientnet_lite0", size)
    pooled = answer.features.predict(pictures.astype(np.float32), verbose=0)
    head = LogisticRegression(C=0.003, max_iter=500).fit(pooled, targets)
    answer.network.get_layer("head_logits").set_weights(
        [head.coef_.T.astype(np.float32), head.intercept_.astype(np.float32)]
    )
    reference = answer(pictures).numpy()

    exports = litert.export(
        answer,
        size,
        representative=pictures[::2],
        pictures=pictures,
        targets=targets,
        reference=reference,
        threshold=0.45,
    )

    by_kind = {e.kind: e for e in exports.measured}
    assert by_kind["float16"].parity.complaints() == []
    assert by_kind["int8"].parity.auc_lost < 0.02
    assert by_kind["int8"].parity.agreement > 0.9
    # The tail is left in float32: no two lesions are tied by rounding.
    assert len(np.unique(litert.probabilities(by_kind["int8"].model, pictures[:30]))) == 30
    assert len(by_kind["int8"].model) < 0.35 * 13.4e6
    assert len(by_kind["float16"].model) < 0.55 * 13.4e6
    assert exports.kept is not None
    assert exports.kept.as_dict()["images"] == 2 * each
    assert exports.failures == ()


def test_a_kind_that_cannot_be_converted_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, convert = Answer("tiny_cnn", 32), litert.convert

    def no_int8(*arguments: Any) -> bytes:
        if arguments[2] == "int8":
            raise litert.ConversionError("litert int8: LiteRT lacks tf.Something")
        return convert(*arguments)

    monkeypatch.setattr(litert, "convert", no_int8)
    pictures = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3)).astype(np.uint8)
    exports = litert.export(
        answer,
        32,
        representative=pictures,
        pictures=pictures,
        targets=np.array([0, 1] * 4),
        reference=answer(pictures).numpy(),
        threshold=0.5,
        kinds=("int8", "float16"),
    )
    assert [one.kind for one in exports.measured] == ["float16"]
    assert exports.kept is exports.measured[0]
    assert exports.failures == ("litert int8: LiteRT lacks tf.Something",)
