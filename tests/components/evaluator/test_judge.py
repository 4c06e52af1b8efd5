import pytest

from components.evaluator.config import EvaluatorConfig
from components.evaluator.judge import ALONE, judge
from core.records.evaluation import SliceMetrics


def _metrics(
    name: str = "overall",
    *,
    auc: float | None = 0.9,
    found: int = 45,
    missed: int = 5,
    cleared: int = 300,
    alarms: int = 150,
):
    return SliceMetrics(
        slice=name,
        auc=auc,
        auc_precision_recall=0.4,
        true_positives=found,
        false_negatives=missed,
        true_negatives=cleared,
        false_positives=alarms,
    )


def _refused(slices, baseline=None, **limits) -> list[tuple[str, str]]:
    verdict = judge(EvaluatorConfig(**limits), slices, baseline)
    return [(check.metric, check.slice) for check in verdict.refusals]


def test_a_good_model_passes():
    assert _refused([_metrics(), _metrics("sex:male")]) == []


def test_a_low_auc_is_refused():
    assert _refused([_metrics(auc=0.6)]) == [("auc", "overall")]


def test_missed_melanomas_are_refused():
    assert _refused([_metrics(found=30, missed=20)]) == [("sensitivity", "overall")]


def test_calling_everything_suspicious_is_refused():
    assert _refused([_metrics(cleared=10, alarms=440)]) == [("specificity", "overall")]


def test_a_loss_against_the_model_blessed_before_is_refused():
    assert _refused([_metrics(auc=0.85)], baseline=0.90) == [("auc_change", "overall")]
    assert _refused([_metrics(auc=0.89)], baseline=0.90) == []


def test_a_model_that_was_held_against_none_says_so_and_only_then():
    alone = judge(EvaluatorConfig(), [_metrics()], None, ALONE)
    assert alone.passed
    assert [check.detail for check in alone.checks if check.metric == "auc"] == [
        "no other model was blessed on this data version before; not compared; the limit is evaluator.min_auc"
    ]
    compared = judge(EvaluatorConfig(), [_metrics()], 0.9, ALONE)
    assert not any("not compared" in check.detail for check in compared.checks)
    assert "auc_change" in {check.metric for check in compared.checks}


def test_every_refusal_of_the_model_gate_ends_with_the_setting_that_holds_its_limit():
    bad = {"auc": 0.1, "found": 10, "missed": 40, "cleared": 10, "alarms": 440}
    verdict = judge(EvaluatorConfig(), [_metrics(**bad), _metrics("sex:male", **bad)], baseline_auc=0.9)
    named = [check.sentence().rpartition("the limit is ")[2] for check in verdict.refusals]
    limits = ["auc", "sensitivity", "specificity"], ["slice_auc", "slice_sensitivity"]
    assert named == [
        *(f"evaluator.min_{name}" for name in limits[0]),
        "evaluator.max_auc_loss",
        *(f"evaluator.min_{name}" for name in limits[1]),
    ]
    known = {f"evaluator.{name}" for name in EvaluatorConfig.model_fields}
    assert known.issuperset(named)


def test_a_bad_slice_is_refused_by_name():
    bad = _metrics("anatom_site:face", auc=0.55, found=4, missed=8)
    assert _refused([_metrics(), bad]) == [("auc", "anatom_site:face"), ("sensitivity", "anatom_site:face")]


@pytest.mark.parametrize("small", [{"found": 1, "missed": 5}, {"cleared": 3, "alarms": 10}])
def test_a_slice_too_small_to_judge_is_not_judged(small):
    assert _refused([_metrics(), _metrics("anatom_site:ear", auc=0.1, **small)]) == []


def test_an_auc_that_could_not_be_measured_is_refused():
    assert ("auc", "overall") in _refused([_metrics(auc=None)])


def test_metrics_without_the_whole_split_are_a_fault():
    with pytest.raises(ValueError, match="no metrics of the whole test split"):
        judge(EvaluatorConfig(), [_metrics("sex:male")], None)


def test_checks_that_hold_are_in_the_verdict_too():
    verdict = judge(EvaluatorConfig(), [_metrics(), _metrics("sex:male")], 0.9)
    assert {check.metric for check in verdict.checks} == {"auc", "sensitivity", "specificity", "auc_change"}
    assert verdict.passed
