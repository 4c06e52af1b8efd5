"""The network with weights from world-cup optimisation.

Source: Razmjooy, Khalilpour, Ramezani, "A new meta-heuristic optimization algorithm inspired by FIFA World Cup
competitions", Journal of Control, Automation and Electrical Systems 27 (2016) 419-440; for melanoma: Razmjooy,
Sheykhahmad, Ghadimi, Open Medicine 13 (2018) 9-16. No kept library has it.

Continents play among themselves and are ranked by (beta * deviation + mean) / 2 of their teams' costs; the best
ones meet, the third places play off, and the winner is the champion. The next cup's teams are drawn partly
around the champion, within half of `accuracy` times the range, partly anywhere. The paper writes that range as
U + L, which is nothing for limits that lie symmetrically about zero; U - L is meant and taken here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from studies.baselines.extract import Table
from studies.baselines.perceptron import LARGEST, task
from studies.baselines.system import Floats, Scorer, System

_CONTINENTS: Final = 5
_TEAMS: Final = 12
_CUPS: Final = 200
_BETA: Final = 0.5
_AROUND: Final = 0.7  # share of teams drawn around a finalist
_SHRINK: Final = 0.98  # of the range around the champion, each cup


def minimise(
    cost: Callable[[npt.NDArray[np.floating[Any]]], Floats],
    size: int,
    *,
    low: float,
    high: float,
    seed: int,
    cups: int = _CUPS,
) -> tuple[Floats, float]:
    """Return the best vector within the limits, and its cost.

    Args:
        cost: [k, size] -> [k], vectorised.
        size: of a vector.
        low: smallest value of an element.
        high: largest value of an element.
        seed: of all draws.
        cups: competitions held.
    """
    draw = np.random.default_rng(seed)
    count = _CONTINENTS * _TEAMS
    teams = draw.uniform(low, high, (count, size)) * 0.5
    champion, lowest, accuracy = teams[0], np.inf, 0.5
    for _ in range(cups):
        costs = cost(teams).reshape(_CONTINENTS, _TEAMS)
        places = np.argsort(costs, axis=1)
        rank = (_BETA * costs.std(axis=1) + costs.mean(axis=1)) / 2
        # The two strongest continents send two teams each, the rest one; the best third place plays off.
        sent = [(c, p) for c in range(_CONTINENTS) for p in range(2 if c in np.argsort(rank)[:2] else 1)]
        thirds = min(range(_CONTINENTS), key=lambda c: costs[c, places[c, 2]])
        finalists = np.array([c * _TEAMS + places[c, p] for c, p in [*sent, (thirds, 2)]])
        order = finalists[np.argsort(costs.ravel()[finalists])]
        if costs.ravel()[order[0]] < lowest:
            champion, lowest = teams[order[0]].copy(), float(costs.ravel()[order[0]])
        else:
            accuracy *= _SHRINK
        around = int(_AROUND * count)
        hosts = np.vstack([champion[None], teams[order]])
        # Champion first: half of the new teams resemble it, the others one of the other finalists.
        host = np.where(draw.random(around) < 0.5, 0, draw.integers(0, len(hosts), around))
        reach = 0.5 * accuracy * (high - low)
        moved = draw.random((around, size)) < max(0.05, accuracy)
        near = hosts[host] + moved * draw.uniform(-reach, reach, (around, size))
        anywhere = draw.uniform(low, high, (count - around, size))
        teams = np.clip(np.vstack([near, anywhere]), low, high)
        draw.shuffle(teams, axis=0)
    return champion, lowest


def _fit(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
    given = task(train, seed)
    weights, _ = minimise(given.losses, given.network.size, low=-LARGEST, high=LARGEST, seed=seed)
    return given.scorer(weights)


SYSTEM = System(
    name="network, world-cup optimisation",
    source="Razmjooy, Sheykhahmad, Ghadimi, Open Medicine 13 (2018) 9-16",
    sees="Otsu mask, ABCD, GLCM, colour",
    fit=_fit,
)
