"""`melanosizer models`: the released versions, and which of them is served."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import UsageError
from core.features import MODEL_NAME
from pipeline.commands.listing import print_list
from pipeline.commands.options import JsonOption, WhoOption, WhyOption, WorkspaceOption

models = typer.Typer(help="List, show, promote and roll back released versions.", no_args_is_help=True)


@models.command("list")
def list_versions(workspace: WorkspaceOption = Path("workspace"), as_json: JsonOption = False) -> None:
    """List all versions, newest first.

    Example:  melanosizer models list --workspace workspace
    """
    registry = _registry(workspace)
    channels = registry.channels()
    labels = {channels.canary: "canary", channels.stable: "stable"}
    rows = []
    for version in reversed(registry.versions()):
        record = registry.record(version)
        rows.append(
            {
                "version": version,
                "served as": labels.get(version),
                "created (UTC)": f"{record.created:%Y-%m-%d %H:%M}",
                "preset": record.preset,
                "AUC": record.metrics.get("auc"),
                "sensitivity": record.metrics.get("sensitivity"),
                "specificity": record.metrics.get("specificity"),
                "data": record.parents.data_version[:12],
            }
        )
    print_list(rows, title=f"versions of {registry.model_name}", key="version", as_json=as_json)


@models.command("show")
def show(version: str, workspace: WorkspaceOption = Path("workspace")) -> None:
    """Print one version's whole record as JSON.

    Example:  melanosizer models show 1795303056 | jq .verdicts
    """
    from core.registry.store import UnknownVersionError

    try:
        print(_registry(workspace).record(version).model_dump_json(indent=2))
    except UnknownVersionError as error:
        raise UsageError(str(error)) from None


@models.command("promote")
def promote(
    version: str, why: WhyOption, who: WhoOption = None, workspace: WorkspaceOption = Path("workspace")
) -> None:
    """Serve VERSION; a server that polls models.config follows within seconds.

    Example:  melanosizer models promote 1795303056 --why "better on the new camera"
    """
    from core.registry.store import UnknownVersionError

    try:
        _registry(workspace).promote(version, who or getpass.getuser(), why)
    except UnknownVersionError as error:
        raise UsageError(str(error)) from None
    Console().print(f"serving version {version}", highlight=False)


@models.command("rollback")
def rollback(
    why: WhyOption,
    version: Annotated[
        str | None, typer.Argument(help="The version to go back to; default: the one served before.")
    ] = None,
    who: WhoOption = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Serve an earlier version again, and record who did it and why.

    Example:  melanosizer models rollback --why "misses amelanotic lesions"
    """
    from core.registry.store import UnknownVersionError

    try:
        target = _registry(workspace).rollback(version, who or getpass.getuser(), why)
    except UnknownVersionError as error:
        raise UsageError(str(error)) from None
    Console().print(f"rolled back: serving version {target}", highlight=False)


def _registry(workspace: Path):  # type: ignore[no-untyped-def]
    from core.registry.store import Registry
    from core.workspace import Workspace

    return Registry(Workspace(workspace).existing().root, MODEL_NAME)
