"""Out of distribution: far features are refused, near ones are not."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.trainer.export import out_of_distribution


def test_the_limit_refuses_the_wanted_share_and_everything_strange() -> None:
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(8, 40))
    train, evaluation = ((draw.normal(size=(n, 8)) @ mixing).astype(np.float32) for n in (800, 500))
    judge = out_of_distribution.fit(train, evaluation, 0.02, 1.0)
    assert float(tf.reduce_mean(judge(tf.constant(evaluation)))) <= 0.021
    shifted = evaluation + 6 * train.std(axis=0)
    assert float(tf.reduce_mean(judge(tf.constant(shifted)))) > 0.95
    off_plane = evaluation + draw.normal(size=evaluation.shape).astype(np.float32) * 3
    assert float(tf.reduce_mean(judge(tf.constant(off_plane)))) > 0.95
