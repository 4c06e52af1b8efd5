import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.balance.config import BalanceConfig
from components.balance.labels import LabelCounts, checks, count, span_checks


def _statistics(values: dict[str, int]) -> statistics_pb2.DatasetFeatureStatisticsList:
    message = statistics_pb2.DatasetFeatureStatisticsList()
    feature = message.datasets.add().features.add()
    feature.path.step.append("target")
    for label, number in values.items():
        feature.string_stats.rank_histogram.buckets.add(label=label, sample_count=number)
    return message


def _failed(config: BalanceConfig, counts: dict[str, LabelCounts], accepted=None) -> list[tuple[str, str]]:
    return [(c.metric, c.slice) for c in checks(config, counts, accepted) if not c.passed]


def test_labels_are_counted_from_the_histogram():
    assert count(_statistics({"0": 920, "1": 80})) == LabelCounts(negatives=920, positives=80)


def test_a_split_without_positives_counts_none():
    assert count(_statistics({"0": 10})).positives == 0


def test_a_label_that_is_neither_0_nor_1_is_named():
    with pytest.raises(ValueError, match=r"\['2'\]; valid are 0 and 1"):
        count(_statistics({"0": 1, "2": 1}))


def test_a_label_without_histogram_says_what_the_schema_lacks():
    with pytest.raises(ValueError, match="is_categorical: true"):
        count(_statistics({}))


def test_an_ordinary_split_holds_every_limit():
    assert _failed(BalanceConfig(), {"train": LabelCounts(negatives=920, positives=80)}) == []


@pytest.mark.parametrize(
    ("negatives", "positives", "metric"),
    [(10_000, 50, "positive_share"), (40, 60, "positive_share"), (190, 10, "positives")],
)
def test_lost_labels_resampling_and_too_few_positives_are_refused(negatives, positives, metric):
    counts = {"train": LabelCounts(negatives=negatives, positives=positives)}
    assert _failed(BalanceConfig(), counts) == [(metric, "split:train")]


def test_an_empty_split_is_refused_without_a_division_by_zero():
    (check,) = checks(BalanceConfig(), {"test": LabelCounts(negatives=0, positives=0)}, None)
    assert (check.metric, check.slice, check.passed) == ("images", "split:test", False)
    assert "the split is empty" in check.sentence()
    assert "--fractions" in check.sentence()
    assert count(statistics_pb2.DatasetFeatureStatisticsList()) == LabelCounts(negatives=0, positives=0)


def test_a_refusal_names_the_setting_that_would_change_it():
    counts = {"train": LabelCounts(negatives=190, positives=10)}
    (check,) = (one for one in checks(BalanceConfig(), counts, None) if not one.passed)
    assert check.sentence() == (
        "positives on split:train is 10, must be >= 20: 10 of 200 images are positive; the limit is "
        "balance.min_positives"
    )


@pytest.mark.parametrize(("positives", "failed"), [(8, False), (14, True)])
def test_the_newest_span_is_compared_with_those_before_it(positives, failed):
    spans = [
        LabelCounts(negatives=920, positives=80),
        LabelCounts(negatives=95, positives=5),
        LabelCounts(negatives=100 - positives, positives=positives),
    ]
    (check,) = span_checks(BalanceConfig(), spans)
    assert (check.slice, check.passed) == ("span:3", not failed)
    assert list(span_checks(BalanceConfig(), spans[:1])) == []
    assert list(span_checks(BalanceConfig(min_span_images=101), spans)) == []


def test_a_jump_of_the_share_since_the_accepted_data_is_refused():
    now = {"train": LabelCounts(negatives=800, positives=200)}
    before = {"train": LabelCounts(negatives=920, positives=80)}
    assert _failed(BalanceConfig(), now, before) == [("positive_share_drift", "split:train")]
    assert _failed(BalanceConfig(), now, None) == []


def test_limits_in_the_wrong_order_name_both():
    with pytest.raises(
        ValueError, match=r"min_positive_share 0.6 must be below max_positive_share 0.5: set both"
    ):
        BalanceConfig(min_positive_share=0.6)
