import math
from pathlib import Path

import pytest

from core.records.verdict import GateRefusedError, Verdict, at_least, at_most


@pytest.mark.parametrize(
    ("value", "limit", "held"),
    [(0.8, 0.8, True), (0.79, 0.8, False), (None, 0.0, False), (math.nan, 0.0, False), (1, 0, True)],
)
def test_at_least_holds_only_for_a_measured_value_at_or_above_the_limit(value, limit, held):
    assert at_least("auc", value, limit).passed is held


@pytest.mark.parametrize(
    ("value", "limit", "held"), [(0, 0, True), (1, 0, False), (None, 1.0, False), (math.nan, 1.0, False)]
)
def test_at_most_holds_only_for_a_measured_value_at_or_below_the_limit(value, limit, held):
    assert at_most("overlap", value, limit).passed is held


def test_an_infinite_value_fails_and_can_still_be_written(tmp_path: Path):
    verdict = Verdict(gate="serving", checks=(at_most("difference", math.inf, 1e-4),))
    verdict.save(tmp_path)
    assert Verdict.load(tmp_path).checks[0].value is None
    assert not Verdict.load(tmp_path).passed


def test_a_sentence_names_metric_slice_value_and_limit():
    check = at_least("sensitivity", 0.5, 0.75, "sex:male", "5 of 10 melanomas found")
    assert check.sentence() == "sensitivity on sex:male is 0.5, must be >= 0.75: 5 of 10 melanomas found"


def test_a_sentence_ends_with_the_setting_that_holds_the_limit():
    known = at_most("latency_ms", 12.0, 10.0, detail="median of 3", setting="serving_check.max_latency_ms")
    assert known.sentence() == (
        "latency_ms is 12, must be <= 10: median of 3; the limit is serving_check.max_latency_ms"
    )
    bare = at_least("auc", 0.5, 0.75, setting="evaluator.min_auc")
    assert bare.sentence() == "auc is 0.5, must be >= 0.75: the limit is evaluator.min_auc"


def test_a_sentence_says_so_when_nothing_could_be_measured():
    assert at_least("auc", None, 0.75).sentence() == "auc is not measurable, must be >= 0.75"


def test_a_verdict_survives_being_saved(tmp_path: Path):
    verdict = Verdict(gate="model", checks=(at_least("auc", 0.9, 0.8), at_least("auc", 0.5, 0.6, "sex:male")))
    verdict.save(tmp_path)
    loaded = Verdict.load(tmp_path)
    assert loaded == verdict
    assert [check.slice for check in loaded.refusals] == ["sex:male"]


def test_a_refusal_lists_every_check_that_did_not_hold():
    verdict = Verdict(
        gate="data", checks=(at_least("positives", 3, 20, "split:test"), at_most("images", 1, 0))
    )
    message = str(GateRefusedError(verdict))
    assert message.startswith("the data gate refused: ")
    assert "positives on split:test is 3, must be >= 20" in message
    assert "images is 1, must be <= 0" in message
