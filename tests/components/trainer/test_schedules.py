from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.trainer.fit.schedules import Plateau, ScheduleConfig, rate


@given(
    kind=st.sampled_from(["constant", "step", "cosine", "cyclic", "plateau"]),
    warmup=st.floats(0, 0.9),
    final=st.floats(0, 0.9),
    cycles=st.integers(1, 5),
    progress=st.floats(-0.5, 1.5),
)
def test_a_rate_is_a_share_of_the_peak(
    kind: str, warmup: float, final: float, cycles: int, progress: float
) -> None:
    config = ScheduleConfig.model_validate(
        {"kind": kind, "warmup": warmup, "final": final, "cycles": cycles, "decay": 0.5}
    )
    factor = rate(config, progress)
    assert 0.0 <= factor <= 1.0 + 1e-12
    if progress >= warmup:
        assert factor >= final - 1e-12


def test_warmup_rises_in_a_straight_line_to_the_peak() -> None:
    config = ScheduleConfig(kind="cosine", warmup=0.2)
    assert [rate(config, p) for p in (0.0, 0.1, 0.2)] == pytest.approx([0.0, 0.5, 1.0])


def test_cosine_restarts_lower_and_ends_at_the_final_rate() -> None:
    config = ScheduleConfig(kind="cosine", warmup=0.0, final=0.0, cycles=2, decay=0.5)
    assert [rate(config, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([1, 0.5, 0.5, 0.25, 0])
    assert rate(config, 0.4999) < 1e-3


def test_steps_fall_by_the_factor_and_stay_until_the_end() -> None:
    config = ScheduleConfig(kind="step", warmup=0.0, final=0.0, steps=3, factor=0.1)
    assert [rate(config, p) for p in (0.0, 0.3, 0.4, 0.7, 1.0)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_the_studys_cyclic_rate_runs_from_1e_5_to_1e_2() -> None:
    config = ScheduleConfig(kind="cyclic", warmup=0.0, final=1e-3, cycles=2)
    rates = [1e-2 * rate(config, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([1e-5, 1e-2, 1e-5, 1e-2, 1e-5])


def test_a_plateau_falls_after_its_patience_and_not_below_the_floor() -> None:
    plateau = Plateau(ScheduleConfig(kind="plateau", patience=2, factor=0.1, final=0.05))
    scores = [0.80, 0.80, 0.80, 0.85, 0.85, math.nan, 0.85]
    assert [plateau.seen(s) for s in scores] == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.05, 0.05])


def test_mistakes_name_what_is_valid() -> None:
    with pytest.raises(ValidationError, match="'constant', 'step', 'cosine', 'cyclic' or 'plateau'"):
        ScheduleConfig.model_validate({"kind": "linear"})
    with pytest.raises(ValidationError, match="give a final below 1, or kind: constant"):
        ScheduleConfig(kind="cosine", final=1.0)
