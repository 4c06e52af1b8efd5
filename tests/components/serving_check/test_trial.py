from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.serving_check import trial
from components.serving_check.config import ServingCheckConfig
from components.serving_check.trial import BAD


@pytest.fixture(scope="module")
def verdict(model: Callable[..., Path], images: list[bytes]):
    return trial.run(model(), images, ServingCheckConfig())


def test_a_sound_model_passes(verdict):
    assert verdict.passed, verdict.refusals


def test_every_bad_request_was_tried(verdict):
    tried = {check.slice for check in verdict.checks if check.metric == "refuses"}
    assert tried == {f"request:{name}" for name in BAD}


def test_a_limit_on_latency_is_a_limit(model: Callable[..., Path], images: list[bytes]):
    verdict = trial.run(model(), images, ServingCheckConfig(max_latency_ms=1e-6))
    (check,) = verdict.refusals
    assert check.metric == "latency_ms"
    assert check.sentence().endswith("median of single images; the limit is serving_check.max_latency_ms")


def test_every_limit_of_the_serving_gate_is_named(verdict):
    named = {
        check.detail.rpartition("the limit is serving_check.")[2] for check in verdict.checks if check.detail
    }
    limits = {name for name in ServingCheckConfig.model_fields if name.startswith("max_")}
    assert limits == named & limits


def test_a_model_that_answers_bad_bytes_is_refused(model: Callable[..., Path], images: list[bytes]):
    verdict = trial.run(model(swallow=True), images, ServingCheckConfig())
    refused = {check.slice for check in verdict.refusals}
    assert "request:text" in refused
    assert "answered" in next(check.detail for check in verdict.refusals)


def test_a_model_without_its_variables_is_refused_with_the_loaders_own_words(
    model: Callable[..., Path], images: list[bytes]
):
    verdict = trial.run(model(kept=False), images, ServingCheckConfig())
    (check,) = verdict.refusals
    assert check.metric == "loads_and_answers"
    assert "variable" in check.detail.lower()


def test_a_folder_without_a_model_is_refused(tmp_path: Path, images: list[bytes]):
    (check,) = trial.run(tmp_path, images, ServingCheckConfig()).refusals
    assert "SavedModel" in check.detail or "saved_model" in check.detail
