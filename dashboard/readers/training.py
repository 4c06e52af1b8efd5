"""Trainer's history: one row an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.files import read_json


class Epoch(BaseModel):
    """One epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: int = 0
    size: int | None = None
    epoch: float
    loss: float | None = None
    eval_auc: float | None = None
    eval_log_loss: float | None = None
    false_negatives: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None


def epochs(folder: Path) -> list[Epoch]:
    """The epochs of a model_run folder; empty where the strategy has none."""
    found: Any = (read_json(folder / "history.json") or {}).get("epochs")
    result = []
    for one in found if isinstance(found, list) else []:
        try:
            result.append(Epoch.model_validate(one))
        except ValueError:
            continue
    return result
