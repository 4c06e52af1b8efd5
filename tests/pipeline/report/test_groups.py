from pipeline.report.evidence import Labels, over_all_splits

FOUND = over_all_splits(
    {
        "train": {
            "sex": {"female": [4, 1], "male": [5, 2], "unknown": [9, 9]},
            "age_band": {"75 and over": [1, 0], "unknown": [1, 1], "under 30": [2, 0], "30-44": [9, 0]},
            "diagnosis": {},
        },
        "test": {"sex": {"female": [3, 1]}, "source": {"made-up": [3, 1]}},
    }
)


def test_labels_are_summed_over_the_splits():
    assert FOUND["sex"]["female"] == Labels(others=7, melanomas=2)
    assert FOUND["sex"]["male"] == Labels(others=5, melanomas=2)
    assert FOUND["source"] == {"made-up": Labels(others=3, melanomas=1)}
    assert "anatom_site" not in FOUND
    assert over_all_splits({"test": {"sex": {"female": [3, 1]}}}) == {
        "sex": {"female": Labels(others=3, melanomas=1)}
    }
    assert over_all_splits({}) == {}


def test_values_come_by_number_what_is_not_recorded_last_and_ages_by_age():
    assert list(FOUND["sex"]) == ["female", "male", "unknown"]
    assert list(FOUND["age_band"]) == ["under 30", "30-44", "75 and over", "unknown"]
    assert list(FOUND["diagnosis"]) == []
    assert list(FOUND) == ["sex", "age_band", "diagnosis", "source"]
