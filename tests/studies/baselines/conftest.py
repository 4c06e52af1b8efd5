"""Tables of made-up figures: a system that learns nothing from them is broken."""

from __future__ import annotations

import numpy as np
import pytest

from studies.baselines.extract import Table
from studies.baselines.figures import NAMES, TOTAL


def table(rows: int, seed: int) -> Table:
    draw = np.random.default_rng(seed)
    targets = (np.arange(rows) % 5 == 0).astype(np.int64)
    values = draw.normal(0, 1, (rows, len(NAMES))).astype(np.float32)
    values[:, :12] += 1.2 * targets[:, None]
    values[:, TOTAL] = 4 + 2 * targets + draw.normal(0, 1, rows)
    return Table(values, targets, 0.5)


@pytest.fixture(scope="session")
def tables() -> dict[str, Table]:
    return {
        name: table(rows, seed)
        for seed, (name, rows) in enumerate({"train": 300, "eval": 120, "test": 120}.items())
    }
