"""Which model a candidate is held against."""

from __future__ import annotations

import pytest
from tfx.types import standard_artifacts

from components.evaluator.baseline import RUN_KEY, BlessedBeforeStrategy


def judged(*runs: tuple[str, bool]) -> dict[str, list[object]]:
    """Models and blessings of runs (run key, blessed), the oldest first."""
    models, blessings = [], []
    for number, (key, blessed) in enumerate(runs, start=1):
        model = standard_artifacts.Model()
        model.id = number
        blessing = standard_artifacts.ModelBlessing()
        blessing.id = 100 + number
        blessing.set_string_custom_property(RUN_KEY, key)
        blessing.set_int_custom_property("blessed", int(blessed))
        blessing.set_int_custom_property("current_model_id", number)
        models.append(model)
        blessings.append(blessing)
    return {"model": models, "model_blessing": blessings}


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([], None),
        ([("a.d1", True)], None),  # itself, run again
        ([("b.d1", True)], 1),
        ([("b.d1", True), ("c.d1", True), ("d.d1", False)], 2),
        ([("b.d1", True), ("b.d2", True)], 1),
        # It may have been trained on what is this test split.
        ([("b.d2", True), ("a.d2", True)], None),
    ],
)
def test_the_newest_blessed_model_of_the_same_data_is_the_baseline(
    runs: list[tuple[str, bool]], found: int | None
) -> None:
    chosen = BlessedBeforeStrategy("a.d1").resolve_artifacts(None, judged(*runs))
    assert [model.id for model in chosen["model"]] == ([] if found is None else [found])
    assert len(chosen["model_blessing"]) == len(chosen["model"])
