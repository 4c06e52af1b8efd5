"""One worker of a test's training: `python together.py FOLDER CONFIG`, with a JSON object of settings by name.

Every training leaves its networks' weights in FOLDER/<name>-<worker>.npz.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.trainer.config import TrainerConfig
from components.trainer.fit import distribution, training
from components.trainer.fit.backup import Backup
from components.trainer.fit.distribution import Workers
from components.trainer.fit.history import History
from components.trainer.fit.task import TrainContext
from components.trainer.progress import Progress
from tests.support import trainer_arrays as arrays


def train(folder: Path, configs: Mapping[str, Any], workers: Workers) -> None:
    for name, settings in configs.items():
        config = TrainerConfig.model_validate(settings)
        keras.utils.set_random_seed(config.seed)
        cache = folder / f"cache-{name}-of-{workers.count}"
        history = History(folder / f"history-{name}-of-{workers.count}", kept=workers.chief)
        progress = Progress(silent=not workers.chief)
        context = TrainContext(cache, history, Backup(cache / "backup.npz"), progress, workers)
        classifier, _ = training.train(config, arrays.data(), context)
        weights = [value for member in classifier.members for value in member.network.model.get_weights()]
        np.savez(folder / f"{name}-{workers.number}.npz", *weights)
    workers.meet()


if __name__ == "__main__":
    train(Path(sys.argv[1]), json.loads(sys.argv[2]), distribution.workers("workers"))
