"""One network learns from the answers of a pushed ensemble."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.data.records import Split, read_split
from components.trainer.fit import optimisation, parent_models
from components.trainer.model.backbones.backbone import WeightsFileError
from components.trainer.model.classes import Classes
from components.trainer.model.classifier import predict
from components.trainer.progress import Progress
from components.trainer.settings import DistilConfig
from tests.support import tiny_trainer
from tests.support import trainer_arrays as arrays


@pytest.fixture(scope="module")
def pictures(scratch: tiny_trainer.Trained, tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("pictures")
    return read_split("eval", [scratch.data.evaluation], size=64, cache_dir=folder, progress=Progress())


@pytest.mark.parametrize("strategy", ["scratch", "frozen"])
def test_a_pushed_version_is_rebuilt_and_ranks_as_it_did(
    strategy: str, pictures: Split, request: pytest.FixtureRequest
) -> None:
    pushed: tiny_trainer.Trained = request.getfixturevalue(strategy)
    classifier, size = parent_models.load_teacher(pushed.model)
    assert size == 64
    class_probabilities = predict(classifier, pictures.pictures).class_probabilities
    positive = class_probabilities @ np.array(classifier.classes.positive, np.float32)
    with (pushed.run / "eval_predictions.csv").open() as file:
        wanted = np.array([float(row["probability"]) for row in csv.DictReader(file)])
    if strategy == "scratch":  # two classes and a temperature: the ranks are the same
        apart = np.argsort(wanted)[:: len(wanted) // 8]
        assert (np.diff(positive[apart]) >= -1e-6).all()
    assert np.corrcoef(positive, wanted)[0, 1] > 0.7


def test_what_does_not_fit_is_refused(scratch: tiny_trainer.Trained, pictures: Split, tmp_path: Path) -> None:
    spec = f"pushed:{scratch.model}"
    with pytest.raises(
        WeightsFileError, match="the teacher knows negative, positive, this data gives nv, mel"
    ):
        parent_models.teacher_answers(
            spec, Classes(("nv", "mel"), (0.0, 1.0), 0), pictures, tmp_path, Progress()
        )
    small = read_split("eval", [scratch.data.evaluation], size=32, cache_dir=tmp_path, progress=Progress())
    two = Classes(("negative", "positive"), (0.0, 1.0), 0)
    with pytest.raises(WeightsFileError, match="set image_size=64"):
        parent_models.teacher_answers(spec, two, small, tmp_path, Progress())
    with pytest.raises(WeightsFileError, match=r"model\.weights\.h5 is not there"):
        parent_models.teacher_answers(f"pushed:{tmp_path}", two, small, tmp_path, Progress())


def test_the_loss_is_least_where_the_student_says_what_the_teacher_does() -> None:
    soft = tf.constant([[0.7, 0.2, 0.1]])
    same = tf.math.log(soft)
    logits = tf.Variable(same)
    with tf.GradientTape() as tape:
        value = optimisation.distillation(logits, soft, 3.0)
    np.testing.assert_allclose(tape.gradient(value, logits), tf.zeros([1, 3]), atol=1e-5)
    assert optimisation.distillation(-same, soft, 3.0) > value
    plain = -float(tf.reduce_sum(soft * tf.nn.log_softmax(same)))
    assert float(optimisation.distillation(same, soft, 1.0)) == pytest.approx(plain, rel=1e-5)


@pytest.mark.slow
def test_a_student_learns_from_its_teacher_only_as_much_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = np.tile(np.array([[0.1, 0.9]], np.float32), (64, 1))
    monkeypatch.setattr(parent_models, "teacher_answers", lambda *_: soft)

    def student(weight: float, spec: str | None) -> np.ndarray:
        config = arrays.CONFIG.model_copy(
            update={"distil_from": spec, "distil": DistilConfig(weight=weight, temperature=1.0)}
        )
        return np.asarray(arrays.train(config, tmp_path / f"{weight} {spec is None}").class_probabilities)

    plain, ignored, listened = student(0.0, None), student(0.0, "pushed:7"), student(1.0, "pushed:7")
    np.testing.assert_array_equal(plain, ignored)
    assert listened[:, 1].mean() > plain[:, 1].mean()
