"""The copies of one network that workers train: the same start, dropout of their own, shared batch-norm statistics."""

from __future__ import annotations

import zlib

import numpy as np

from components.trainer.fit.distribution import Workers
from components.trainer.fit.loop import TrainState
from components.trainer.model.network import Network


def check_start(workers: Workers, network: Network, state: TrainState) -> None:
    """Compare where the workers begin, and with which weights.

    Raises:
        WorkersError: they would average what does not belong together.
    """
    if workers.count == 1:
        return
    workers.agree(
        state.stage * 1e9 + state.step,
        f"it begins at stage {state.stage + 1}, step {state.step}, another elsewhere; all must read the same "
        "backup, so give trainer.cache_dir a folder that they share",
    )
    workers.agree(
        float(sum(zlib.crc32(value.tobytes()) for value in network.weights())),
        "its first weights are not those of the others; start the same image on machines of one kind",
    )


def offset_rng_state(workers: Workers, network: Network) -> None:
    """Give each worker random numbers of its own: the same dropout everywhere would be less of it."""
    if workers.chief:
        return
    for variable in network.rng_variables():
        state = np.array(variable)
        state[0] += workers.number
        variable.assign(state)


def average_statistics(workers: Workers, network: Network) -> None:
    """Average batch-norm's moving statistics, which each worker gathers on its own pictures."""
    if workers.count == 1:
        return
    variables = network.statistics()
    if variables:
        for variable, value in zip(variables, workers.mean([np.array(v) for v in variables]), strict=True):
            variable.assign(value)
