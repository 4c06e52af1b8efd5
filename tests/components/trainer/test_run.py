"""From records to an exported model: parity, the C++ loader, determinism, resuming, what is left behind."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.trainer.data.records import DataError, read_split
from components.trainer.model import network as networks
from components.trainer.progress import Progress
from components.trainer.run import run_fn
from components.trainer.settings import StageConfig
from core import features
from core.measures.summary import measure
from tests.support import lesions, tiny_trainer
from tests.support.saved_model import CppModel

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = {
    features.PROBABILITY, features.DECISION, features.THRESHOLD, features.ZONE,
    features.OUT_OF_DISTRIBUTION, features.MODEL_VERSION, features.LOW_BELOW, features.REFER_FROM,
}  # fmt: skip


def records(pattern: str) -> list[bytes]:
    files = sorted(tf.io.gfile.glob(pattern))
    return list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def picture_of(record: bytes) -> bytes:
    return tf.train.Example.FromString(record).features.feature[features.IMAGE].bytes_list.value[0]


@pytest.mark.parametrize("strategy", ["scratch", "frozen"])
def test_training_and_both_signatures_give_the_same_answer(
    strategy: str, request: pytest.FixtureRequest
) -> None:
    trained: tiny_trainer.Trained = request.getfixturevalue(strategy)
    model = CppModel(trained.model)
    rows = records(trained.data.evaluation)
    with (trained.run / "eval_predictions.csv").open() as file:
        trained_path = np.array([float(row["probability"]) for row in csv.DictReader(file)])
    default = model.ask("serving_default", [picture_of(row) for row in rows])
    examples = model.ask("serving_examples", rows)
    assert np.abs(default[features.PROBABILITY] - trained_path).max() < 1e-4
    assert np.abs(examples[features.PROBABILITY] - trained_path).max() < 1e-4
    np.testing.assert_array_equal(default[features.DECISION], examples[features.DECISION])
    assert trained_path.std() > 1e-3  # they agree about something


def test_what_the_trainer_says_of_eval_is_what_every_page_measures_from_the_same_answers(
    scratch: tiny_trainer.Trained,
) -> None:
    with (scratch.run / "eval_predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = np.array([int(row["target"]) for row in rows])
    scores = np.array([float(row["probability"]) for row in rows])
    said = json.loads((scratch.run / "metrics.json").read_text())
    expected = measure(labels, scores, 0.5, samples=10)
    # The file holds six decimals.
    assert said["eval_auc"] == pytest.approx(expected.auc.value, abs=1e-3)
    assert said["brier"] == pytest.approx(expected.brier.value, abs=1e-5)
    assert said["calibration_error"] == pytest.approx(expected.ece.value, abs=1e-4)


@pytest.mark.parametrize("strategy", ["scratch", "frozen"])
def test_the_signatures_are_the_contract(strategy: str, request: pytest.FixtureRequest) -> None:
    trained: tiny_trainer.Trained = request.getfixturevalue(strategy)
    model = CppModel(trained.model)
    default, examples = model.signatures["serving_default"], model.signatures["serving_examples"]
    assert set(default.inputs) == {features.IMAGE_BYTES}
    assert set(default.outputs) == DEFAULT
    assert set(examples.inputs) == {"examples"}
    assert set(examples.outputs) == {features.PROBABILITY, features.DECISION}
    draw = np.random.default_rng(9)
    answers = model.ask("serving_default", [lesions.jpeg(lesions.picture(draw, True, (200, 90)))] * 3)
    assert {key: value.shape for key, value in answers.items()} == dict.fromkeys(DEFAULT, (3,))
    assert answers[features.DECISION].dtype == np.int64
    about = json.loads((trained.model / "assets.extra" / "melanosizer.json").read_text())
    assert answers[features.THRESHOLD][0] == pytest.approx(about["threshold"])
    assert answers[features.MODEL_VERSION][0].decode() == about["model_version"]
    assert answers[features.LOW_BELOW][0] == pytest.approx(about["zones"]["low_below"])
    assert answers[features.REFER_FROM][0] == pytest.approx(about["zones"]["refer_from"])
    assert answers[features.ZONE][0].decode() in {"low", "review", "refer"}


def test_broken_pictures_are_an_invalid_argument_and_the_model_lives_on(
    scratch: tiny_trainer.Trained,
) -> None:
    model = CppModel(scratch.model)
    good = lesions.jpeg(lesions.picture(np.random.default_rng(1), False))
    for broken in (b"", b"no picture", good[:100]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            model.ask("serving_default", [good, broken])
    assert model.ask("serving_default", [good])[features.PROBABILITY].shape == (1,)


def test_the_metadata_meets_its_schema(scratch: tiny_trainer.Trained, frozen: tiny_trainer.Trained) -> None:
    schema = json.loads((ROOT / "schemas" / "model.schema.json").read_text())
    for trained in (scratch, frozen):
        about = json.loads((trained.model / "assets.extra" / "melanosizer.json").read_text())
        jsonschema.validate(about, schema)
        assert about["parameters"] > 1000


def test_warm_up_requests_can_be_answered(scratch: tiny_trainer.Trained) -> None:
    model = CppModel(scratch.model)
    path = scratch.model / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(row)
        for row in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    signatures = [log.predict_log.request.model_spec.signature_name for log in logs]
    assert signatures == ["serving_default", "serving_default", "explain"]
    for log in logs:
        request = log.predict_log.request
        pictures = list(tf.make_ndarray(request.inputs[features.IMAGE_BYTES]))
        assert len(model.ask(request.model_spec.signature_name, pictures)[features.PROBABILITY]) == len(
            pictures
        )


def test_history_has_auc_and_false_negatives_of_every_epoch(scratch: tiny_trainer.Trained) -> None:
    history = json.loads((scratch.run / "history.json").read_text())
    assert [row["epoch"] for row in history["epochs"]] == [1, 2, 3, 4]
    for row in history["epochs"]:
        assert 0 <= row["eval_auc"] <= 1
        assert 0 <= row["false_negatives"] <= row["positives"] == 16
        assert 0 <= row["waiting"] <= 1
    assert history["config"]["backbone"] == "tiny_cnn"
    assert list((scratch.run / "tensorboard").iterdir())


def test_the_frozen_head_is_the_best_epoch_over_the_penalties(frozen: tiny_trainer.Trained) -> None:
    history = json.loads((frozen.run / "history.json").read_text())
    best = max(row["eval_auc"] for row in history["epochs"])
    assert history["metrics"]["eval_auc"] == pytest.approx(best, abs=0.02)
    about = json.loads((frozen.model / "assets.extra" / "melanosizer.json").read_text())
    assert [row["name"] for row in about["classes"]] == ["bkl", "nv", "mel"]


def test_features_are_cached_by_weights_preprocessing_and_data(
    frozen: tiny_trainer.Trained, tmp_path: Path, unexported: None
) -> None:
    kept = frozen.run / "cache"
    config = frozen.config.model_copy(update={"cache_dir": str(kept)})
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir() if path.is_file()}
    tiny_trainer.train(frozen.data, config, tmp_path / "again")
    after = {path.name: path.stat().st_mtime_ns for path in kept.iterdir() if path.is_file()}
    assert after == before
    smaller = config.model_copy(update={"frozen": config.frozen.model_copy(update={"size": 40})})
    tiny_trainer.train(frozen.data, smaller, tmp_path / "other")
    assert len([path for path in kept.iterdir() if path.name.startswith("features-")]) == 4


_CHILD = """
import json, sys
from types import SimpleNamespace
from components.trainer.run import run_fn
run_fn(SimpleNamespace(**json.loads(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_killed_training_resumes_and_ends_with_the_same_weights(
    scratch: tiny_trainer.Trained, tmp_path: Path, capfd: pytest.CaptureFixture[str], unexported: None
) -> None:
    cache = tmp_path / "cache"
    config = scratch.config.model_copy(update={"cache_dir": str(cache)})
    arguments = {
        "custom_config": {"trainer": config.model_dump(mode="json"), "model_name": "melanoma"},
        "train_files": [scratch.data.train], "eval_files": [scratch.data.evaluation],
        "transform_output": scratch.data.transform, "hyperparameters": None,
        "serving_model_dir": str(tmp_path / "killed" / "model"),
        "model_run_dir": str(tmp_path / "killed" / "run"),
    }  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, json.dumps(arguments)],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    for line in child.stderr:
        if "epoch 3 of 4" in line:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    assert child.returncode == -signal.SIGKILL
    child.stderr.close()
    assert not (tmp_path / "killed" / "model").exists()
    resumed = tiny_trainer.train(scratch.data, config, tmp_path / "resumed")
    said = capfd.readouterr().err
    assert "resumed in stage 1 after epoch" in said
    assert "epoch 1 of 4" not in said
    epochs = json.loads((resumed.run / "history.json").read_text())["epochs"]
    assert [row["epoch"] for row in epochs] == [1, 2, 3, 4]
    assert (resumed.run / "eval_predictions.csv").read_text() == (
        scratch.run / "eval_predictions.csv"
    ).read_text()
    assert not list((cache / "backup").iterdir())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"backbone": "resnet5"}, "'resnet5' is unknown"),
        ({"backbone": "base_cnn", "stages": [{"size": 64, "epochs": 1}]}, "64 px is too small for base_cnn"),
        ({"stages": [{"size": 96, "epochs": 1, "test_size": 24}]}, "24 px is too small for tiny_cnn"),
    ],
)
def test_a_network_that_cannot_be_is_told_before_an_image_is_read(
    given: dict[str, object], says: str, tmp_path: Path
) -> None:
    trainer = {"backbone": "tiny_cnn", "weights": "none", "strategy": "fine_tune", **given}
    arguments = SimpleNamespace(
        custom_config={"trainer": trainer, "model_name": "melanoma"},
        train_files=["/nowhere/*"], eval_files=["/nowhere/*"], transform_output="/nowhere",
        hyperparameters=None, serving_model_dir=str(tmp_path / "model"), model_run_dir=str(tmp_path / "run"),
    )  # fmt: skip
    with pytest.raises(ValueError, match=says):
        run_fn(arguments)


@pytest.mark.slow
def test_another_seed_gives_another_model(
    scratch: tiny_trainer.Trained, tmp_path: Path, unexported: None
) -> None:
    config = scratch.config.model_copy(update={"seed": 18, "stages": (StageConfig(size=64, epochs=1),)})
    other = tiny_trainer.train(scratch.data, config, tmp_path)
    assert (other.run / "eval_predictions.csv").read_text() != (
        scratch.run / "eval_predictions.csv"
    ).read_text()


@pytest.mark.slow
def test_stages_of_several_sizes_become_one_ensemble(scratch: tiny_trainer.Trained, tmp_path: Path) -> None:
    config = scratch.config.model_copy(
        update={
            "stages": (StageConfig(size=32, epochs=1), StageConfig(size=48, epochs=1, test_size=64, reset=True)),
            "max_minutes": 5.0,
            "patience": 1,
            "tta": 1,
            "neutral_light": False,
            "batch_size": 32,
            "litert": ("float32",),
        }
    )  # fmt: skip
    trained = tiny_trainer.train(scratch.data, config, tmp_path)
    about = json.loads((trained.model / "assets.extra" / "melanosizer.json").read_text())
    assert [member["size"] for member in about["backbone"]["members"]] == [32, 64]
    rows = records(trained.data.evaluation)
    found = CppModel(trained.model).ask("serving_examples", rows)[features.PROBABILITY]
    device = json.loads((trained.model / "assets.extra" / "litert" / "litert.json").read_text())
    assert device["version"] == about["model_version"]
    assert device["largest_difference"] < 1e-3
    assert device["agreement"] >= 0.98  # of 64 pictures, one may lie on the operating point
    with (trained.run / "eval_predictions.csv").open() as file:
        wanted = np.array([float(row["probability"]) for row in csv.DictReader(file)])
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize(
    ("strategy", "stage", "learning"),
    [("fine_tune", 0, 5), ("last_blocks", 0, 2), ("gradual", 0, 0), ("gradual", 1, 1), ("gradual", 2, 5)],
)
def test_strategies_free_the_layers_they_name(strategy: str, stage: int, learning: int) -> None:
    config = tiny_trainer.TINY.model_copy(
        update={"strategy": strategy, "stages": (StageConfig(size=64, epochs=1),) * 3, "unfreeze": 2}
    )
    moments = networks.Moments((1.0,) * 3, (1.0,) * 3)
    network = networks.build(config, size=None, classes=2, moments=moments)
    networks.freeze(network, config, stage)
    free = {layer.name for layer in network.model.layers if layer.trainable and layer.weights}
    blocks = network.backbone.blocks
    assert [set(block) <= free for block in blocks] == [False] * (len(blocks) - learning) + [True] * learning
    assert "head_logits" in free
    body, head = network.split_variables()
    assert len(head) == 2
    assert bool(body) == bool(learning)


def test_frozen_batch_norm_keeps_its_statistics() -> None:
    config = tiny_trainer.TINY.model_copy(update={"batch_norm": "frozen"})
    network = networks.build(config, size=None, classes=2, moments=networks.Moments((1.0,) * 3, (1.0,) * 3))
    networks.freeze(network, config, 0)
    norms = [la for la in network.model.layers if isinstance(la, keras.layers.BatchNormalization)]
    before = [np.array(layer.moving_mean) for layer in norms]
    network(tf.random.stateless_uniform([2, 64, 64, 3], [0, 1], 0, 255), training=True)
    for layer, value in zip(norms, before, strict=True):
        np.testing.assert_array_equal(layer.moving_mean, value)


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_fast_layers_have_tensorflows_gradients(batch_norm: str) -> None:
    moments = networks.Moments((120.0,) * 3, (60.0,) * 3)
    pixels = tf.random.stateless_uniform([3, 64, 64, 3], [0, 1], 0, 255)
    found = []
    for fast in (True, False):
        keras.utils.set_random_seed(1)
        config = tiny_trainer.TINY.model_copy(
            update={"backbone": "efficientnet_lite0", "batch_norm": batch_norm}
        )
        network = networks.build(config, size=None, classes=2, moments=moments, fast=fast)
        networks.freeze(network, config, 0)
        variables = [variable.value for variable in network.model.trainable_variables]
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.square(network(pixels)[0] - 1.0))
        found.append(tape.gradient(value, variables))
    for one, other in zip(*found, strict=True):
        scale = float(tf.reduce_max(tf.abs(other))) + 1e-6
        assert float(tf.reduce_max(tf.abs(one - other))) / scale < 1e-3


def test_one_kind_of_label_is_refused(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "data-0"), "GZIP") as writer:
        picture = lesions.jpeg(lesions.picture(np.random.default_rng(0), False))
        for number in range(3):
            writer.write(lesions.example(str(number), picture, 0, "nv").SerializeToString())
    with pytest.raises(DataError, match=r"all 3 images have the label \[0\]"):
        read_split(
            "train", [str(tmp_path / "data-*")], size=32, cache_dir=tmp_path / "c", progress=Progress()
        )


def test_a_missing_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no TFRecord file matches"):
        read_split("eval", [str(tmp_path / "none-*")], size=32, cache_dir=tmp_path, progress=Progress())
