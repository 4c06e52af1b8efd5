"""What a training needs besides its data, looked for before the first step: minutes later it would be a fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from urllib.parse import quote

from components.trainer.fit import parent_models
from components.trainer.model.backbones import registry, weights
from components.trainer.model.backbones.backbone import WeightsFileError
from components.tuner.config import ends
from core.errors import UsageError
from core.registry.store import Registry
from core.workspace import Workspace
from pipeline.config import RunConfig


def check_metadata(workspace: Workspace) -> None:
    """Look whether the metadata store is whole, before the first step fails at it with a traceback.

    Raises:
        UsageError: it is damaged.
    """
    if not workspace.metadata.is_file() or not workspace.metadata.stat().st_size:
        return
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(workspace.metadata.resolve()))}?mode=ro", uri=True)
        ) as store:
            (verdict,) = store.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise UsageError(
            f"{workspace.metadata} is damaged ({verdict}): move it away; what is released stays served, and the next run "
            "computes every step again"
        )


def check(
    config: RunConfig, workspace: Workspace, data_version: str, grown_from: Collection[str] = ()
) -> None:
    """Look for the network, the files and the released versions that the trainer is to start from.

    ``grown_from`` are data versions whose splits are kept in ``data_version``.

    Raises:
        UsageError: no such network, file or version, or a version that was trained on other data.
    """
    trainer = config.trainer_in(workspace=str(workspace.root.resolve()), cache=str(workspace.cache))
    try:
        for one in (trainer, *(ends(trainer, config.tuner) if config.tuner else ())):
            registry.check(one.backbone, one.sides)
            weights.check(one.weights)
        if trainer.distil_from:
            weights.check(trainer.distil_from)
        parent_models.check(trainer, data_version, grown_from)
    except WeightsFileError as error:
        released = Registry(workspace.root, config.model_name).versions()
        raise UsageError(
            f"trainer: {error}; released in this workspace: {', '.join(released) or 'none yet'}"
        ) from None
    except ValueError as error:
        raise UsageError(f"trainer: {error}") from None
