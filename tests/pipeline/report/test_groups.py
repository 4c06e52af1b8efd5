from pipeline.report.evidence import Groups

FOUND = Groups(
    {
        "train": {
            "sex": {"female": [4, 1], "male": [5, 2], "unknown": [9, 9]},
            "age_band": {"75 and over": [1, 0], "unknown": [1, 1], "under 30": [2, 0], "30-44": [9, 0]},
        },
        "test": {"sex": {"female": [3, 1]}, "source": {"made-up": [3, 1]}},
    }
)


def test_labels_are_summed_over_the_splits_asked_for():
    assert FOUND.labels("sex", "female", ["train", "test"]) == (7, 2)
    assert FOUND.labels("sex", "female", ["test"]) == (3, 1)
    assert FOUND.labels("sex", "male", ["test"]) == (0, 0)
    assert FOUND.labels("anatom_site", "trunk", ["train"]) == (0, 0)


def test_values_come_by_number_what_is_not_recorded_last_and_ages_by_age():
    assert FOUND.values("sex") == ["female", "male", "unknown"]
    assert FOUND.values("age_band") == ["under 30", "30-44", "75 and over", "unknown"]
    assert FOUND.values("diagnosis") == []
    assert FOUND.names == ["sex", "age_band", "source"]
