"""Writes an example, for a look round."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboard.database import migrate
from dashboard.database.connection import Database
from dashboard.field.recorder import Recorder
from dashboard.readers.registry import RegistryFiles
from dashboard.sample import Size, field, workspace
from dashboard.settings import Settings


def main(
    folder: Annotated[Path, typer.Argument(help="The folder of the new workspace.")],
    runs: int = 24,
    predictions: int = 5000,
    devices: int = 40,
    images: int = 600,
    seed: int = 7,
    url: Annotated[str, typer.Option(help="Database; the workspace's own SQLite file where empty.")] = "",
) -> None:
    """Write an example workspace, for a look round: melanosizer dashboard --workspace FOLDER."""
    size = Size(runs, images, predictions, devices, seed)
    made = workspace(folder.absolute(), size)
    database = Database(url or Settings(workspace=folder.absolute()).database)
    migrate.upgrade(database)
    field(database, Recorder(database), RegistryFiles(made, "melanoma").names()[::-1], size)
    database.close()
    print(f"melanosizer dashboard --workspace {folder}")


if __name__ == "__main__":
    typer.run(main)
