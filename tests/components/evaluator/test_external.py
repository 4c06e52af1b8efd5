import numpy as np
import pytest

from components.evaluator import measured
from components.evaluator.config import EvaluatorConfig, ExternalData
from components.evaluator.judge import judge
from components.evaluator.predictions import Prediction
from core.records import evaluation


def answers(images: int, strength: float, seed: int, shift: float = 0.0) -> list[Prediction]:
    random = np.random.default_rng(seed)
    made = []
    for index in range(images):
        target = int(index % 5 == 0)
        odds = random.normal(strength * target - 1.5 + shift, 1.0)
        made.append(
            Prediction(
                f"l{index}", "s", target, float(1 / (1 + np.exp(-odds))), 0.2, float(index % 50 == 0), "nv",
                "male" if index % 2 else "female", "30-44", "trunk", "1",
            )
        )  # fmt: skip
    return made


HERE, THERE = answers(600, 2.0, 1), answers(400, 0.8, 2)
CLINIC = ExternalData(name="clinic", path="x", data_version="ab" * 32, copies=("a", "b", "c"))
CONFIG = EvaluatorConfig(slices=("sex",), bootstrap_samples=100)


def test_a_camera_the_model_has_not_seen_costs_auc_and_the_drop_has_an_interval():
    found = measured.external(CLINIC, THERE, HERE, CONFIG)
    assert (found.images, found.melanomas, found.copies) == (400, 80, 3)
    assert found.prevalence == 0.2
    assert found.drop.value < 0
    assert found.drop.low < found.drop.value < found.drop.high < 0
    assert found.drop_p < 0.001
    assert found.refused.value == pytest.approx(8 / 400)
    assert {item.slice for item in found.slices} == {"sex:male", "sex:female"}


def test_calibration_elsewhere_has_an_intercept_and_a_slope():
    found = measured.external(CLINIC, answers(4000, 1.0, 3, shift=2.0), HERE, CONFIG)
    assert found.intercept is not None
    assert found.intercept.high < 0  # stated too high
    assert found.slope is not None


def test_it_is_read_back(tmp_path):
    found = (measured.external(CLINIC, THERE, HERE, CONFIG),)
    measured.save_external(found, tmp_path)
    assert evaluation.external(tmp_path) == found


def test_one_label_is_a_sentence():
    benign = [item._replace(target=0) for item in THERE]
    with pytest.raises(ValueError, match="clinic: 0 of 400 images are melanomas; both kinds are needed"):
        measured.external(CLINIC, benign, HERE, CONFIG)


@pytest.mark.parametrize(
    ("limits", "checked"), [({}, []), ({"min_auc": 0.9, "min_sensitivity": 0.5}, ["auc", "sensitivity"])]
)
def test_data_from_elsewhere_is_judged_only_by_limits_of_its_own(limits, checked):
    config = EvaluatorConfig(external=(ExternalData(name="clinic", path="x", **limits),))
    found = measured.external(CLINIC, THERE, HERE, CONFIG)
    verdict = judge(config, measured.from_predictions(HERE, ()), None, external=(found,))
    checks = [check for check in verdict.checks if check.slice == "external:clinic"]
    assert [check.metric for check in checks] == checked
    if checked:
        assert not checks[0].passed
        assert checks[0].detail == (
            "80 melanomas of 400 images; the limit is min_auc of clinic in evaluator.external"
        )
        assert checks[1].detail.endswith("the limit is min_sensitivity of clinic in evaluator.external")
