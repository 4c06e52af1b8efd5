"""Fitting a released model to a clinic: halves, and figures on the half that was not fitted on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.evaluator.config import EvaluatorConfig
from components.evaluator.predictions import Prediction
from core.errors import UsageError
from core.measures.operating_point import ZonesConfig
from core.records import outcome
from core.records.outcome import FieldOutcome
from pipeline import recalibration

LIMITS = EvaluatorConfig(bootstrap_samples=100)


def answers(images: int, prevalence: float, seed: int = 1) -> tuple[list[Prediction], list[str]]:
    """Answers of a model that states far too little, and the patient of each."""
    random = np.random.default_rng(seed)
    made, groups = [], []
    for index in range(images):
        odds = random.normal(0, 1.5) + np.log(prevalence / (1 - prevalence))
        target = int(random.uniform() < 1 / (1 + np.exp(-odds)))
        stated = float(1 / (1 + np.exp(-(2 * odds - 3))))
        made.append(
            Prediction(f"l{index}", "s", target, stated, 0.04, 0.0, "nv", "male", "30-44", "trunk", "1")
        )
        groups.append(f"patient-{index // 2}")
    return made, groups


def fit(made: list[Prediction], groups: list[str], sensitivity: float) -> recalibration.Fitted:
    site = recalibration.Site(answers=made, groups=groups, data_version="0" * 64, images=(), slices=())
    return recalibration.fit(site, LIMITS, sensitivity=sensitivity, costs=ZonesConfig())


def test_a_patient_lies_on_one_side_and_melanomas_on_both():
    made, groups = answers(400, 0.3)
    labels = np.array([item.target for item in made])
    inside = recalibration.halves(labels, groups)
    assert not {g for g, one in zip(groups, inside, strict=True) if one} & {
        g for g, one in zip(groups, inside, strict=True) if not one
    }
    assert abs(int(labels[inside].sum()) - int(labels[~inside].sum())) < 0.2 * labels.sum()
    again = recalibration.halves(labels[::-1], groups[::-1])[::-1]
    assert (again == inside).all()


def test_the_other_half_is_better_calibrated_and_ranked_as_before():
    fitted = fit(*answers(1200, 0.3), sensitivity=0.95)
    assert fitted.recalibration.kind == "line"
    assert fitted.wanted_sensitivity == 0.95
    assert fitted.after.ece.value < 0.08 < fitted.before.ece.value
    assert fitted.after.auc.value == pytest.approx(fitted.before.auc.value, abs=1e-6)
    assert fitted.after.sensitivity.low < 0.95 < fitted.after.sensitivity.high + 0.03
    assert fitted.zones.low_below <= fitted.threshold <= fitted.zones.refer_from
    assert len(fitted.answers) == fitted.after.images
    assert {item.threshold for item in fitted.answers} == {fitted.threshold}


def test_with_few_melanomas_decisions_stay_what_they_were():
    made, groups = answers(60, 0.4)
    fitted = fit(made, groups, sensitivity=0.95)
    assert fitted.recalibration.kind == "shift"
    assert fitted.wanted_sensitivity is None
    assert fitted.after.sensitivity == fitted.before.sensitivity
    assert fitted.after.specificity == fitted.before.specificity


def test_too_few_is_a_sentence():
    made, groups = answers(40, 0.3)
    made = [item._replace(target=int(index < 3)) for index, item in enumerate(made)]
    with pytest.raises(UsageError, match="half of the pictures is fitted on"):
        fit(made, groups, sensitivity=0.9)


def outcomes(images: int, version: str = "7") -> list[FieldOutcome]:
    made, groups = answers(images, 0.3)
    return [
        FieldOutcome(
            answer=number,
            time=datetime(2026, 5, 1, tzinfo=UTC),
            version=version,
            patient=group.removeprefix("patient-") if number % 3 else "",
            zone="review",
            probability=item.probability,
            outcome="melanoma" if item.target else "benign",
            basis="histology",
        )
        for number, (item, group) in enumerate(zip(made, groups, strict=True), 1)
    ]


def test_confirmed_outcomes_of_the_field_are_fitted_as_pictures_are(tmp_path: Path):
    rows = outcomes(600)
    file = tmp_path / "outcomes-7.csv"
    file.write_text(outcome.table([*rows, *outcomes(5, version="6")]))
    site = recalibration.from_field(file, "7", 0.04)
    assert [item.target for item in site.answers] == [row.label for row in rows]
    assert site.groups[2] == "answer 3"
    assert site.groups[0] == site.groups[1] == "patient 0"
    assert {item.threshold for item in site.answers} == {0.04}
    assert site.slices == ()
    assert len(site.images) == 3  # drawn ones: the file holds no pictures
    fitted = recalibration.fit(site, LIMITS, sensitivity=0.95, costs=ZonesConfig())
    assert fitted.recalibration.kind == "line"
    assert fitted.after.ece.value < fitted.before.ece.value
    assert fitted.zones.low_below <= fitted.threshold <= fitted.zones.refer_from


def test_outcomes_of_another_version_are_a_sentence(tmp_path: Path):
    file = tmp_path / "outcomes.csv"
    file.write_text(outcome.table(outcomes(5, version="6")))
    with pytest.raises(
        UsageError, match="none of its 5 outcomes is of version 7; they are of 6: give --version"
    ):
        recalibration.from_field(file, "7", 0.04)
