from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.trainer.fit.callbacks import ReduceOnPlateau
from components.trainer.fit.history import Scores
from components.trainer.fit.loop import TrainState
from components.trainer.fit.optimisation import rate
from components.trainer.settings import OptimiserConfig


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
    config = OptimiserConfig.model_validate(
        {"schedule": kind, "warmup": warmup, "final": final, "cycles": cycles, "cycle_decay": 0.5}
    )
    factor = rate(config, progress)
    assert 0.0 <= factor <= 1.0 + 1e-12
    if progress >= warmup:
        assert factor >= final - 1e-12


def test_warmup_rises_in_a_straight_line_to_the_peak() -> None:
    config = OptimiserConfig(schedule="cosine", warmup=0.2)
    assert [rate(config, p) for p in (0.0, 0.1, 0.2)] == pytest.approx(
        [1e-3, 0.5, 1.0]
    )  # a step at no rate at all would teach nothing


def test_cosine_restarts_lower_and_ends_at_the_final_rate() -> None:
    config = OptimiserConfig(schedule="cosine", warmup=0.0, final=0.0, cycles=2, cycle_decay=0.5)
    assert [rate(config, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([1, 0.5, 0.5, 0.25, 0])
    assert rate(config, 0.4999) < 1e-3


def test_steps_fall_by_the_factor_and_stay_until_the_end() -> None:
    config = OptimiserConfig(schedule="step", warmup=0.0, final=0.0, fall=0.1)
    assert [rate(config, p) for p in (0.0, 0.3, 0.4, 0.7, 1.0)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_the_studys_cyclic_rate_runs_from_1e_5_to_1e_2() -> None:
    config = OptimiserConfig(schedule="cyclic", warmup=0.0, final=1e-3, cycles=2)
    rates = [1e-2 * rate(config, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([1e-5, 1e-2, 1e-5, 1e-2, 1e-5])


def test_a_plateau_falls_after_its_patience_and_not_below_the_floor() -> None:
    optimiser = OptimiserConfig(schedule="plateau", plateau_patience=2, fall=0.1, final=0.05)
    plateau, state, factors = ReduceOnPlateau(optimiser), TrainState(), []
    for score in (0.80, 0.80, 0.80, 0.85, 0.85, math.nan, 0.85):
        plateau.on_scores(state, Scores(score, {}, ""), None)
        factors.append(state.lr_scale)
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.05, 0.05])


def test_mistakes_name_what_is_valid() -> None:
    with pytest.raises(ValidationError, match="'constant', 'step', 'cosine', 'cyclic' or 'plateau'"):
        OptimiserConfig.model_validate({"schedule": "linear"})
    with pytest.raises(ValidationError, match="give a final below 1, or schedule: constant"):
        OptimiserConfig(schedule="cosine", final=1.0)
