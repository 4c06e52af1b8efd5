"""A workspace: runs, metadata, registry, served versions, data sets."""

from __future__ import annotations

import random
from pathlib import Path

from core.workspace import MARKER, Workspace
from dashboard import clock
from dashboard.sample import run
from dashboard.sample.data_set import data_set
from dashboard.sample.size import Size
from dashboard.sample.store import Store


def workspace(root: Path, size: Size, *, now: int | None = None) -> Workspace:
    """Write a workspace: runs, metadata, registry, served versions, one data set a ten runs."""
    chance = random.Random(size.seed)  # noqa: S311 - an example, no secret
    moment = now if now is not None else clock.now()
    made = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).touch()
    store = Store(made.metadata)
    data = [data_set(root / "data" / f"set-{i}", size, i) for i in range(1 + size.runs // 60)]
    served: list[str] = []
    for number in range(size.runs):
        started = moment - (size.runs - number) * 7 * clock.HOUR
        folder, version = data[min(len(data) - 1, number * len(data) // size.runs)]
        state = (
            "pushed"
            if number % 3 == 0 or number == size.runs - 1
            else chance.choice(("refused", "unchanged", "failed"))
        )
        if state == "unchanged" and not served:
            state = "refused"
        run.write(made, store, chance, size, number, started, state, folder, version, served)
    store.close()
    return made
