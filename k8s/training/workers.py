"""Do the workers of TF_CONFIG reach each other and train in step? Each prints a digest of its weights at the end.

Logistic regression on drawn data, with gradients summed over all workers: their digests are equal, and equal those of
one worker that sees all of the data.
"""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import tensorflow as tf

ROWS, FEATURES, STEPS = 256, 8, 40


def train() -> tuple[str, float]:
    """Train over all workers; return the digest of the weights, rounded to 1e-4, and the last loss."""
    workers = len(json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}).get("worker", ["me"]))
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    random = np.random.default_rng(7)
    rows = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    labels = (rows @ random.normal(size=FEATURES) > 0).astype(np.float32)
    with strategy.scope():
        weights = tf.Variable(tf.zeros([FEATURES]))
    task = strategy.cluster_resolver.task_id or 0
    mine = slice(task * ROWS // workers, (task + 1) * ROWS // workers)

    @tf.function
    def step() -> tf.Tensor:
        def once() -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = tf.linalg.matvec(tf.constant(rows[mine]), weights)
                losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(labels[mine]), logits)
                loss = tf.reduce_sum(losses) / ROWS
            gradient = tf.distribute.get_replica_context().all_reduce("sum", tape.gradient(loss, weights))
            weights.assign_sub(gradient)
            return loss

        return strategy.reduce("sum", strategy.run(once), axis=None)

    for _ in range(STEPS):
        loss = step()
    rounded = np.round(weights.numpy(), 4) + 0.0
    return hashlib.sha256(rounded.astype("<f4").tobytes()).hexdigest(), float(loss)


if __name__ == "__main__":
    digest, loss = train()
    print(f"weights {digest} loss {loss:.4f}", flush=True)
