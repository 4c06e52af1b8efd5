"""A branch for metadata that may be missing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.data import metadata as metadata_of
from components.trainer.data.records import Columns, read_columns
from components.trainer.model import network as networks
from components.trainer.settings import HeadConfig, StageConfig
from core import features
from core.measures.auc import auc
from tests.support import lesions, tiny_trainer
from tests.support.saved_model import CppModel

MOMENTS = networks.Moments((120.0,) * 3, (60.0,) * 3)
ROOT = Path(__file__).resolve().parents[3]


def small(**head: object) -> TrainerConfig:
    return tiny_trainer.TINY.model_copy(
        update={
            "image_size": 32,
            "stages": (StageConfig(size=32, epochs=1),),
            "batch_size": 48,
            "tta": 1,
            "neutral_light": False,
            "head": HeadConfig.model_validate({"kind": "binary", "dropout": 0.2, **head}),
        }
    )


def test_the_frozen_strategy_has_no_other_head() -> None:
    for head in ({"metadata": True}, {"hidden": 4}):
        with pytest.raises(ValidationError, match=r"with strategy=frozen: it trains a linear head"):
            TrainerConfig(strategy="frozen", head=HeadConfig.model_validate(head))


COLUMNS = Columns(
    np.array([50.0, np.nan, 30.0], np.float32), ("female", "", "MALE "), ("trunk", "elbow", ""), ("", "", "")
)
METADATA = metadata_of.Metadata(("head/neck", "trunk"))


def test_metadata_become_numbers_and_what_is_missing_is_zero() -> None:
    np.testing.assert_allclose(
        METADATA.of(COLUMNS), [[0.5, 1, 1, 0, 0, 1], [0] * 6, [0.3, 1, 0, 1, 0, 0]], atol=1e-6
    )


def test_each_of_them_and_all_are_hidden_with_the_given_probability() -> None:
    vectors = tf.ones([4000, METADATA.width])
    kept = METADATA.hidden(vectors, tf.constant([1, 2], tf.int64), 0.5).numpy()
    np.testing.assert_array_equal(kept[:, 0], kept[:, 1])  # age and whether it is known
    np.testing.assert_array_equal(kept[:, 2], kept[:, 3])
    np.testing.assert_allclose(kept.mean(axis=0), 0.25, atol=0.04)
    assert (kept.sum(axis=1) == 0).mean() == pytest.approx(0.5 + 0.5 / 8, abs=0.04)
    np.testing.assert_array_equal(METADATA.hidden(vectors, tf.constant([1, 2], tf.int64), 0.0), vectors)


def test_rare_sites_have_no_number() -> None:
    sites = ("Trunk",) * 10 + ("elbow",) * 9 + ("",) * 20
    assert metadata_of.fit(Columns(np.zeros(39, np.float32), (), sites, ())).sites == ("trunk",)


def test_columns_are_read_in_the_order_of_the_pictures(data: tiny_trainer.Data) -> None:
    found = read_columns([data.evaluation])
    assert len(found.ages) == len(found.sexes) == len(found.sites) == len(found.groups) == 64
    assert len(set(found.groups)) == 64
    assert set(found.sexes) == {"", "male", "female"}
    assert np.isnan(found.ages).sum() == sum(not sex for sex in found.sexes) == 22


@pytest.fixture(scope="module")
def with_branch(data: tiny_trainer.Data, tmp_path_factory: pytest.TempPathFactory) -> tiny_trainer.Trained:
    config = small(metadata=True, hidden=8).model_copy(update={"folds": 2, "robustness_images": 0})
    return tiny_trainer.train(data, config, tmp_path_factory.mktemp("with_branch"))


@pytest.mark.slow
def test_a_model_with_metadata_answers_pictures_alone_and_is_told_more_by_its_own_signature(
    with_branch: tiny_trainer.Trained,
) -> None:
    model = CppModel(with_branch.model)
    assert set(model.signatures["serving_default"].inputs) == {features.IMAGE_BYTES}
    inputs = model.signatures["serving_with_metadata"].inputs
    assert set(inputs) == {features.IMAGE_BYTES, features.AGE, features.SEX, features.SITE}
    picture = lesions.jpeg(lesions.picture(np.random.default_rng(4), True))
    alone = model.ask("serving_default", [picture] * 3)
    given = {
        features.IMAGE_BYTES: [picture] * 3,
        features.AGE: np.array([np.nan, 80.0, 20.0], np.float32),
        features.SEX: ["", "male", "female"],
        features.SITE: ["", "trunk", "a site never seen"],
    }
    answers = model.ask_named("serving_with_metadata", given)
    assert set(answers) == set(alone)
    found = answers[features.PROBABILITY]
    assert found[0] == pytest.approx(alone[features.PROBABILITY][0], abs=1e-6)
    assert len({round(float(value), 7) for value in found}) == 3


@pytest.mark.slow
def test_figures_with_and_without_metadata_stand_side_by_side(with_branch: tiny_trainer.Trained) -> None:
    metrics = json.loads((with_branch.run / "metrics.json").read_text())
    assert 0 <= metrics["with_metadata"]["eval_auc"] <= 1
    assert metrics["with_metadata"]["log_loss"] != metrics["log_loss"]
    about = json.loads((with_branch.model / "assets.extra" / "melanosizer.json").read_text())
    jsonschema.validate(about, json.loads((ROOT / "schemas" / "model.schema.json").read_text()))
    assert about["metadata"] == {"sexes": ["female", "male"], "sites": ["trunk"]}


@pytest.mark.slow
def test_cross_validated_figures_are_written_with_the_answers_behind_them(
    with_branch: tiny_trainer.Trained,
) -> None:
    found = json.loads((with_branch.run / "metrics.json").read_text())["cross_validated"]
    with (with_branch.run / "out_of_fold_predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["images"] == 96
    targets = np.array([int(row["target"]) for row in rows])
    answers = np.array([float(row["probability"]) for row in rows])
    assert auc(targets, answers) == pytest.approx(found["auc"], abs=1e-3)
    assert (
        len(
            json.loads((with_branch.model / "assets.extra" / "melanosizer.json").read_text())["backbone"][
                "members"
            ]
        )
        == 2
    )
