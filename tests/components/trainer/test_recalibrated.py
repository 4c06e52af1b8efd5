"""A recalibrated model: the network's answers untouched, everything behind them follows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.export import recalibrated
from core.measures.calibration import log_odds
from core.measures.operating_point import Zones
from core.measures.recalibration import Recalibration

MAP = Recalibration("line", 0.6, 1.1)


class Released(tf.Module):
    """States a probability that depends on the bytes' length, as a released model states one of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(0.3)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        length = tf.cast(tf.strings.length(image_bytes), tf.float32)
        probability = tf.sigmoid(self.weight * length - 3.0)
        ones = tf.ones_like(probability)
        return {
            "probability": probability,
            "decision": tf.cast(probability >= 0.5, tf.int64),
            "threshold": ones * 0.5,
            "zone": tf.fill(tf.shape(probability), "review"),
            "out_of_distribution": tf.zeros_like(probability),
            "model_version": tf.fill(tf.shape(probability), "1"),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"overlay_bytes": image_bytes}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    released = Released()
    signatures = {"serving_default": released.serving_default, "explain": released.explain}
    tf.saved_model.save(released, str(folder / "1"), signatures=signatures)
    extra = folder / "1" / "assets.extra"
    (extra / "litert").mkdir(parents=True)
    (extra / "litert" / "model.tflite").write_bytes(b"old calibration")
    (extra / "melanosizer.json").write_text(json.dumps({"model_version": "1", "parameters": 1}))
    recalibrated.write(
        folder / "1",
        folder / "2",
        recalibration=MAP,
        threshold=0.4,
        zones=Zones(0.2, 0.8),
        version="2",
        facts={"model_version": "2", "threshold": 0.4},
    )
    return folder / "1", folder / "2"


def ask(model: Path, signature: str = "serving_default") -> dict[str, np.ndarray]:
    images = tf.constant([b"x" * length for length in range(1, 25)])
    outputs = tf.saved_model.load(str(model)).signatures[signature](image_bytes=images)
    return {name: value.numpy() for name, value in outputs.items()}


def test_the_log_odds_are_the_network_s_own_under_a_line_and_ranks_stay(models: tuple[Path, Path]) -> None:
    before, after = (ask(model) for model in models)
    undone = (log_odds(after["probability"]) - MAP.shift) / MAP.scale
    np.testing.assert_allclose(undone, log_odds(before["probability"]), atol=1e-4)
    assert (np.argsort(before["probability"]) == np.argsort(after["probability"])).all()
    np.testing.assert_allclose(after["probability"], MAP(before["probability"]), atol=1e-6)


def test_decision_zone_threshold_and_version_follow(models: tuple[Path, Path]) -> None:
    found = ask(models[1])
    assert (found["decision"] == (found["probability"] >= 0.4)).all()
    assert found["decision"].dtype == np.int64
    assert set(found["threshold"].tolist()) == {np.float32(0.4)}
    assert set(found["model_version"].tolist()) == {b"2"}
    names = np.where(
        found["probability"] < 0.2, b"low", np.where(found["probability"] >= 0.8, b"refer", b"review")
    )
    assert found["zone"].tolist() == names.tolist()
    assert (found["out_of_distribution"] == 0).all()


def test_other_signatures_and_facts_are_kept_and_the_old_device_model_is_not(
    models: tuple[Path, Path],
) -> None:
    assert ask(models[1], "explain")["overlay_bytes"].tolist()[0] == b"x"
    facts = json.loads((models[1] / "assets.extra" / "melanosizer.json").read_text())
    assert facts == {"model_version": "2", "parameters": 1, "threshold": 0.4}
    assert not (models[1] / "assets.extra" / "litert").exists()
