from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.fit.callbacks import Ema


def test_the_average_follows_by_its_formula_and_is_put_back() -> None:
    variable = keras.Variable(np.array([1.0, 2.0], np.float32))
    ema = Ema([variable], decay=0.5)
    step = tf.function(ema.update)
    expected = np.array([1.0, 2.0])
    for number in range(1, 8):
        variable.assign(variable + 1.0)
        step()
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * np.asarray(variable)
    trained = np.asarray(variable)
    with ema.evaluation():
        np.testing.assert_allclose(np.asarray(variable), expected, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(variable), trained)


def test_own_values_come_back_after_an_error() -> None:
    variable = tf.Variable([3.0])
    ema = Ema([variable], decay=0.9)
    variable.assign([5.0])

    def fails() -> None:
        with ema.evaluation():
            assert variable.numpy() == [3.0]
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fails()
    assert variable.numpy() == [5.0]


def test_its_state_goes_on_as_if_nothing_had_happened() -> None:
    variable = tf.Variable([0.0])
    first = Ema([variable], decay=0.9)
    variable.assign([1.0])
    first.update()
    second = Ema([variable], decay=0.9)
    for mine, saved in zip(second.state, first.state, strict=True):
        mine.assign(saved)
    variable.assign([2.0])
    for ema in (first, second):
        ema.update()
    np.testing.assert_array_equal(first.state[1], second.state[1])


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1])
def test_a_decay_outside_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"give a decay inside 0\.\.1"):
        Ema([tf.Variable([0.0])], decay)
