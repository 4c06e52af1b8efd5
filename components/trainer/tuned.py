"""Settings by dotted key: what a tuner varies, and what the Trainer then trains with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from core.settings import explain


def apply(config: TrainerConfig, values: Mapping[str, Any]) -> TrainerConfig:
    """The configuration with other values, such as {"optimiser.weight_decay": 0.05, "stages.0.rate": 0.5}.

    Raises:
        ValueError: no such key, or a value that is not valid; the message names both.
    """
    content = config.model_dump(mode="json")
    for key, value in values.items():
        _set(content, key, value)
    try:
        return TrainerConfig.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{dict(values)}: {'; '.join(explain(error, TrainerConfig))}") from None


def _set(content: Any, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in [*parents, last]:
        known = range(len(content)) if isinstance(content, list) else content
        index: Any = int(part) if isinstance(content, list) and part.isdigit() else part
        if not isinstance(content, list | dict) or index not in known:
            names = ", ".join(str(name) for name in known) if isinstance(content, list | dict) else "none"
            raise ValueError(f"{key}: the trainer has no such key; at {part!r} there are {names}")
        if part is last:
            content[index] = value
        content = content[index]
