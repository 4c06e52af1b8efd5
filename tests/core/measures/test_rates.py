import numpy as np
import pytest

from core.measures.rates import confusion, mcnemar, rate_of, threshold_table, wilson

DRAW = np.random.default_rng(11)
LABELS = (DRAW.random(400) < 0.2).astype(np.int64)
# Two decimals: ties between the classes.
SCORES = np.round(1 / (1 + np.exp(-(DRAW.normal(size=400) + 1.5 * LABELS - 1))), 2)


def test_a_rate_of_all_is_not_certain():
    found = wilson(10, 10)
    assert (found.value, found.high) == (1.0, 1.0)
    # Wilson's interval of 10 of 10 (Wilson, 1927).
    assert found.low == pytest.approx(0.7225, abs=1e-4)
    assert wilson(0, 10).high == pytest.approx(0.2775, abs=1e-3)


def test_wilson_s_interval_by_the_table():
    found = wilson(45, 50)
    assert (found.low, found.high) == (pytest.approx(0.7864, abs=1e-3), pytest.approx(0.9565, abs=1e-3))


def test_nothing_to_count_has_no_rate():
    assert wilson(0, 0) is None
    with pytest.raises(ValueError, match="a rate of nothing"):
        rate_of(np.zeros(0, bool))


def test_a_threshold_counts_and_adds_up():
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    scores = np.array([0.9, 0.5, 0.4, 0.1, 0.6, 0.5, 0.3, 0.2, 0.1, 0.0])
    row = confusion(labels, scores, 0.5)
    assert (row.true_positives, row.false_positives) == (2, 2)
    assert (row.sensitivity, row.specificity) == (0.5, pytest.approx(4 / 6))
    assert row.positive_predictive_value == 0.5
    assert row.negative_predictive_value == pytest.approx(4 / 6)
    assert (row.missed_per_1000, row.false_alarms_per_1000) == (200, 200)


def test_predictive_values_at_the_split_s_own_prevalence_are_the_counted_ones():
    row = confusion(LABELS, SCORES, 0.4)
    positive, negative = row.predictive_values_at(row.prevalence)
    assert positive == pytest.approx(row.positive_predictive_value)
    assert negative == pytest.approx(row.negative_predictive_value)


def test_nobody_referred_has_no_predictive_value():
    row = confusion(LABELS, SCORES, 2.0)
    assert row.positive_predictive_value is None
    assert row.predictive_value_interval() is None
    assert row.predictive_values_at(0.1)[0] is None


def test_the_table_leaves_out_round_numbers_beside_the_operating_point():
    rows = threshold_table(LABELS, SCORES, [0.1, 0.2, 0.5], [(0.195, "operating point")])
    assert [(row.threshold, row.role) for row in rows] == [(0.1, ""), (0.195, "operating point"), (0.5, "")]


def test_mcnemar_counts_what_only_one_has_right():
    labels = np.array([1, 1, 0, 0, 1, 0])
    first = np.array([True, True, False, False, True, False])
    second = np.array([False, False, False, True, True, False])
    assert mcnemar(labels, first, second) == (3, 0, pytest.approx(0.25))
    assert mcnemar(labels, first, first) == (0, 0, 1.0)
