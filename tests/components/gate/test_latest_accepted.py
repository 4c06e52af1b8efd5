from types import SimpleNamespace

from components.gate.component import ACCEPTED_ROLE, LatestAcceptedStrategy


def _artifact(number: int, role: str, data_version: str) -> SimpleNamespace:
    properties = {"role": role, "data_version": data_version}
    return SimpleNamespace(id=number, get_string_custom_property=lambda key: properties.get(key, ""))


def _resolve(artifacts: list[SimpleNamespace], version: str) -> list[int]:
    strategy = LatestAcceptedStrategy(data_version=version)
    return [item.id for item in strategy.resolve_artifacts(None, {"accepted": artifacts})["accepted"]]


def test_a_first_run_has_no_baseline_and_that_is_no_error():
    assert _resolve([], "b") == []


def test_the_newest_accepted_data_of_another_version_is_the_baseline():
    known = [
        _artifact(1, ACCEPTED_ROLE, "a"),
        _artifact(2, ACCEPTED_ROLE, "b"),
        _artifact(3, ACCEPTED_ROLE, "c"),
    ]
    assert _resolve(known, "c") == [2]
    assert _resolve(known, "d") == [3]


def test_what_a_tuner_wrote_is_no_baseline():
    assert _resolve([_artifact(1, ACCEPTED_ROLE, "a"), _artifact(2, "", "")], "b") == [1]


def test_a_second_run_on_the_same_data_finds_the_baseline_of_the_first():
    before = [_artifact(1, ACCEPTED_ROLE, "a")]
    assert _resolve(before, "b") == _resolve([*before, _artifact(2, ACCEPTED_ROLE, "b")], "b")
