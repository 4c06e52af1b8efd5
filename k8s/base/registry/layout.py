"""Lays an empty volume out as a workspace, so that servers start before the first release; run at every start.

Standard library only: any of the images runs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

MARKER = ".melanosizer-workspace"
FOLDERS = ("artifacts", "cache", "predictions", "registry", "runs", "serving")
NO_MODELS = "# Nothing is released yet; the registry replaces this file.\nmodel_config_list {\n}\n"


def lay_out(workspace: Path) -> None:
    """Create what is missing under ``workspace``; never change what is there."""
    for name in FOLDERS:
        (workspace / name).mkdir(parents=True, exist_ok=True)
    (workspace / MARKER).touch()
    config = workspace / "serving" / "models.config"
    if not config.exists():
        config.write_text(NO_MODELS)


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
    print(f"workspace {sys.argv[1]} is laid out")
