"""What keeps the networks of workers one network: where they begin, their dropout, batch-norm's statistics."""

from __future__ import annotations

import zlib

import numpy as np

from components.trainer.fit.course import Position
from components.trainer.fit.distribution import Workers
from components.trainer.model.network import Network


def check(workers: Workers, network: Network, position: Position) -> None:
    """Sees to it that all begin at one place with the same weights.

    Raises:
        WorkersError: they would average what does not belong together.
    """
    if workers.count == 1:
        return
    workers.agree(
        position.stage * 1e9 + position.step,
        f"it begins at stage {position.stage + 1}, step {position.step}, another elsewhere; all must read the same "
        "backup, so give trainer.cache_dir a folder that they share",
    )
    workers.agree(
        float(sum(zlib.crc32(value.tobytes()) for value in network.weights())),
        "its first weights are not those of the others; start the same image on machines of one kind",
    )


def own_noise(workers: Workers, network: Network) -> None:
    """Gives each worker random numbers of its own: the same dropout everywhere would be less of it."""
    if workers.chief:
        return
    for variable in network.noise():
        state = np.array(variable)
        state[0] += workers.number
        variable.assign(state)


def average_statistics(workers: Workers, network: Network) -> None:
    """Makes batch-norm's moving statistics, which each worker gathers on its own pictures, those of all."""
    if workers.count == 1:
        return
    variables = network.statistics()
    if variables:
        for variable, value in zip(variables, workers.mean([np.array(v) for v in variables]), strict=True):
            variable.assign(value)
