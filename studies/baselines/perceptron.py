"""A network with one hidden layer as a function of one flat vector of weights, so that anything may choose them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pygad
from sklearn.pipeline import Pipeline

from core.measures.auc import auc
from studies.baselines.extract import Table
from studies.baselines.systems import Floats, Scorer, System, standardised

INPUTS: Final = 16  # principal components of the figures
HIDDEN: Final = 8
LARGEST: Final = 2.0  # of a weight that a search may choose


@dataclass(frozen=True)
class Perceptron:
    """`inputs` figures, `hidden` tanh units, one logistic output."""

    inputs: int
    hidden: int

    @property
    def size(self) -> int:
        """How many weights there are."""
        return self.inputs * self.hidden + 2 * self.hidden + 1

    def logits(self, weights: Floats, values: Floats) -> Floats:
        """Return the output before the logistic function: weights [..., size], values [n, inputs] -> [..., n]."""
        first, bias, second, last = self._split(weights)
        hidden = np.tanh(values @ first + bias[..., None, :])
        return np.asarray((hidden @ second[..., None])[..., 0] + last)

    def loss(self, weights: Floats, values: Floats, targets: Floats, importance: Floats) -> Floats:
        """Return the weighted mean cross-entropy of each row of weights."""
        logits = self.logits(weights, values)
        terms = np.logaddexp(0.0, logits) - targets * logits
        return np.asarray((terms * importance).sum(axis=-1) / importance.sum())

    def gradient(self, weights: Floats, values: Floats, targets: Floats, importance: Floats) -> Floats:
        """Return the gradient of `loss` by back-propagation: [size]."""
        first, bias, second, last = self._split(weights)
        hidden = np.tanh(values @ first + bias)
        probability = 1 / (1 + np.exp(-np.clip(hidden @ second + last, -50, 50)))
        error = importance * (probability - targets) / importance.sum()
        back = error[:, None] * second * (1 - hidden**2)
        return np.concatenate([(values.T @ back).ravel(), back.sum(axis=0), hidden.T @ error, [error.sum()]])

    def _split(self, weights: Floats) -> tuple[Floats, Floats, Floats, Any]:
        inner = self.inputs * self.hidden
        first = weights[..., :inner].reshape(*weights.shape[:-1], self.inputs, self.hidden)
        bias = weights[..., inner : inner + self.hidden]
        second = weights[..., inner + self.hidden : inner + 2 * self.hidden]
        return first, bias, second, weights[..., -1:] if weights.ndim > 1 else weights[-1]


@dataclass(frozen=True)
class Task:
    """What a search for weights is given: the network and standardised, weighted training rows."""

    network: Perceptron
    prepared: Pipeline
    values: Floats
    targets: Floats
    importance: Floats

    def losses(self, weights: npt.NDArray[np.floating[Any]]) -> Floats:
        """Return the training loss of each row of weights: [k, size] -> [k]."""
        return self.network.loss(np.asarray(weights, np.float64), self.values, self.targets, self.importance)

    def scorer(self, weights: Floats) -> Scorer:
        """Return the network with these weights."""

        def score(values: npt.NDArray[np.float32]) -> Floats:
            logits = self.network.logits(weights, self.prepared.transform(values))
            return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))

        return score


def task(train: Table, seed: int) -> Task:
    """Return the task of a training table; both classes weigh the same in all."""
    prepared = standardised(train.values, components=INPUTS, seed=seed)
    values = np.asarray(prepared.transform(train.values), np.float64)
    targets = train.targets.astype(np.float64)
    positive = targets.mean()
    importance = np.where(targets == 1, 0.5 / positive, 0.5 / (1 - positive))
    return Task(Perceptron(values.shape[1], HIDDEN), prepared, values, targets, importance)


# The network trained by back-propagation: gradient descent with momentum.
#
# Source: Jaleel, Salim, Aswin, "Artificial neural network based detection of skin cancer", International Journal
# of Advanced Research in Electrical, Electronics and Instrumentation Engineering 1 (2012) 200-205; the rule itself:
# Rumelhart, Hinton, Williams, Nature 323 (1986) 533-536.

_BATCH: Final = 64
_EPOCHS: Final = 150
_PATIENCE: Final = 25  # epochs without a better AUC on eval
_RATE: Final = 0.05
_MOMENTUM: Final = 0.9


def _fit_backprop(train: Table, evaluation: Table, seed: int) -> Scorer:
    given = task(train, seed)
    draw = np.random.default_rng(seed)
    weights = draw.normal(0, 1 / np.sqrt(given.network.inputs), given.network.size)
    speed = np.zeros_like(weights)
    best, best_auc, waited = weights.copy(), -1.0, 0
    for epoch in range(_EPOCHS):
        order = draw.permutation(len(given.targets))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            gradient = given.network.gradient(
                weights, given.values[rows], given.targets[rows], given.importance[rows]
            )
            speed = _MOMENTUM * speed - _RATE * (1 - epoch / _EPOCHS) * gradient
            weights = weights + speed
        found = auc(evaluation.targets, given.scorer(weights)(evaluation.values))
        waited += 1
        if found > best_auc:
            best, best_auc, waited = weights.copy(), found, 0
        if waited >= _PATIENCE:
            break
    return given.scorer(best)


BACK_PROPAGATION = System(
    name="network, back-propagation",
    source="Jaleel, Salim, Aswin, IJAREEIE 1 (2012) 200-205",
    fit=_fit_backprop,
)


# The network with weights from a genetic algorithm (PyGAD).
#
# Source: Aswin, Jaleel, Salim, "Hybrid genetic algorithm - artificial neural network classifier for skin cancer
# detection", ICCICCT 2014, 1304-1309.

_POPULATION: Final = 60
_GENERATIONS: Final = 200


def _fit_genetic(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
    given = task(train, seed)

    def fitness(_: Any, solutions: Any, __: Any) -> list[float]:
        return [float(-loss) for loss in given.losses(np.asarray(solutions))]

    search = pygad.GA(
        num_generations=_GENERATIONS,
        sol_per_pop=_POPULATION,
        num_parents_mating=_POPULATION // 3,
        num_genes=given.network.size,
        init_range_low=-1.0,
        init_range_high=1.0,
        gene_space={"low": -LARGEST, "high": LARGEST},
        fitness_func=fitness,
        fitness_batch_size=_POPULATION,
        parent_selection_type="tournament",
        crossover_type="uniform",
        mutation_type="random",
        mutation_by_replacement=False,
        random_mutation_min_val=-0.3,
        random_mutation_max_val=0.3,
        mutation_probability=0.05,
        keep_elitism=2,
        random_seed=seed,
        suppress_warnings=True,
    )
    search.run()
    best, _, _ = search.best_solution(search.last_generation_fitness)
    return given.scorer(np.asarray(best, np.float64))


GENETIC = System(
    name="network, genetic algorithm",
    source="Aswin, Jaleel, Salim, ICCICCT 2014, 1304-1309",
    fit=_fit_genetic,
)


# The network with weights from world-cup optimisation.
#
# Source: Razmjooy, Khalilpour, Ramezani, "A new meta-heuristic optimization algorithm inspired by FIFA World Cup
# competitions", Journal of Control, Automation and Electrical Systems 27 (2016) 419-440; for melanoma: Razmjooy,
# Sheykhahmad, Ghadimi, Open Medicine 13 (2018) 9-16. No kept library has it.
#
# Continents play among themselves and are ranked by (beta * deviation + mean) / 2 of their teams' costs; the best
# ones meet, the third places play off, and the winner is the champion. The next cup's teams are drawn partly
# around the champion, within half of `accuracy` times the range, partly anywhere. The paper writes that range as
# U + L, which is nothing for limits that lie symmetrically about zero; U - L is meant and taken here.

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
    """Return the best vector [size] with elements from `low` to `high`, and its cost, after so many `cups`.

    `cost` is given k vectors at once, [k, size], and returns [k]; `seed` decides every draw.
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


def _fit_world_cup(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
    given = task(train, seed)
    weights, _ = minimise(given.losses, given.network.size, low=-LARGEST, high=LARGEST, seed=seed)
    return given.scorer(weights)


WORLD_CUP = System(
    name="network, world-cup optimisation",
    source="Razmjooy, Sheykhahmad, Ghadimi, Open Medicine 13 (2018) 9-16",
    fit=_fit_world_cup,
)
