from datetime import UTC, datetime

import pytest

from core import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00001, "< 0.01 %"),
        (0.0004, "0.04 %"),
        (0.0123, "1.2 %"),
        (0.617, "62 %"),
        (0.9996, "99.96 %"),
        (1.0, "100 %"),
        (None, "–"),
    ],
)
def test_rare_probabilities_keep_their_digits(value, text):
    assert numbers.probability(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04, "0 s"),
        (0.44, "0.4 s"),
        (8.2, "8.2 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3900, "1 h 05 min"),
    ],
)
def test_durations_are_written_as_people_write_them(value, text):
    assert numbers.duration(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20.0, "20"),
        (57224.0, "57,224"),
        (0.75, "0.75"),
        (3.2e-7, "3.2e−07"),
        (-0.02, "−0.02"),
        (None, "not measurable"),
        (float("nan"), "not measurable"),
    ],
)
def test_limits_have_as_many_digits_as_they_need(value, text):
    assert numbers.limit(value) == text


def test_what_could_not_be_measured_is_a_dash_not_nan():
    assert {numbers.rate(float("nan")), numbers.percent(None), numbers.count(float("nan"))} == {"–"}


def test_moments_and_sizes_and_nouns():
    assert numbers.moment(datetime(2026, 1, 5, 9, 3, tzinfo=UTC)) == "5 January 2026, 09:03 UTC"
    assert numbers.size(999).replace("\u00a0", " ") == "999 bytes"
    assert numbers.size(14_200_000).replace("\u00a0", " ") == "14.2 MB"
    assert numbers.plural(1, "image").replace("\u00a0", " ") == "1 image"
    assert numbers.plural(1200, "epoch").replace("\u00a0", " ") == "1,200 epochs"
