import json
from pathlib import Path

import pytest

from core import hashing


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name, content in {
        "saved_model.pb": "graph with version 1",
        "variables/variables.data-00000-of-00001": "weights",
        "assets/sex": "male\nfemale\n",
        "assets.extra/melanosizer.json": json.dumps({"model_version": "1", "threshold": 0.1}),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_another_version_number_is_no_other_model(model: Path):
    before = hashing.fingerprint(model)
    (model / "saved_model.pb").write_text("graph with version 2")
    (model / hashing.FACTS).write_text(json.dumps({"model_version": "2", "threshold": 0.1}))
    assert hashing.fingerprint(model) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("variables/variables.data-00000-of-00001", "other weights"),
        ("assets/sex", "male\n"),
        ("assets.extra/melanosizer.json", json.dumps({"model_version": "1", "threshold": 0.2})),
    ],
)
def test_other_weights_vocabulary_or_threshold_are_another_model(model: Path, name: str, content: str):
    before = hashing.fingerprint(model)
    (model / name).write_text(content)
    assert hashing.fingerprint(model) != before


def test_a_folded_model_is_known_by_its_training_weights(model: Path):
    (model / "variables" / "variables.data-00000-of-00001").write_bytes(b"")
    (model / hashing.WEIGHTS).write_text("weights")
    before = hashing.fingerprint(model)
    (model / "saved_model.pb").write_text("graph with version 2")
    assert hashing.fingerprint(model) == before
    (model / hashing.WEIGHTS).write_text("other weights")
    assert hashing.fingerprint(model) != before


def test_the_records_of_older_exports_stay_true(model: Path):
    before = hashing.fingerprint(model)
    (model / hashing.WEIGHTS).write_text("weights")
    assert hashing.fingerprint(model) == before


def test_the_tree_hash_covers_names_and_contents(model: Path):
    before = hashing.tree_hash(model)
    (model / "assets" / "sex").rename(model / "assets" / "site")
    assert hashing.tree_hash(model) != before
