"""The network with weights from a genetic algorithm (PyGAD).

Source: Aswin, Jaleel, Salim, "Hybrid genetic algorithm - artificial neural network classifier for skin cancer
detection", ICCICCT 2014, 1304-1309.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pygad

from studies.baselines.extract import Table
from studies.baselines.perceptron import LARGEST, task
from studies.baselines.system import Scorer, System

_POPULATION: Final = 60
_GENERATIONS: Final = 200


def _fit(train: Table, evaluation: Table, seed: int) -> Scorer:  # noqa: ARG001 - one signature for all
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


SYSTEM = System(
    name="network, genetic algorithm",
    source="Aswin, Jaleel, Salim, ICCICCT 2014, 1304-1309",
    sees="Otsu mask, ABCD, GLCM, colour",
    fit=_fit,
)
