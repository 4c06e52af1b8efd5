"""`melanosizer models`: the released versions, and which of them is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from core import process
from pipeline.commands.listing import print_list
from pipeline.commands.options import JsonOption, WhoOption, WhyOption, WorkspaceOption, registry_of
from pipeline.console import say

if TYPE_CHECKING:
    from core.registry.store import Registry

_COLUMNS = ("version", "served as", "created (UTC)", "preset", "AUC", "sensitivity", "specificity", "data")

VersionArgument = Annotated[str, typer.Argument(help="The version, as `models list` names it.")]

models = typer.Typer(help="List, show, promote and roll back released versions.", no_args_is_help=True)


@models.command("list")
def list_versions(workspace: WorkspaceOption = Path("workspace"), as_json: JsonOption = False) -> None:
    """List all versions, newest first.

    Example:  melanosizer models list --workspace workspace
    """
    from core.records.version import VersionRecord

    registry = registry_of(workspace)
    channels = registry.channels()
    labels = {channels.canary: "canary", channels.stable: "stable"}
    rows: list[dict[str, object]] = []
    for version in reversed(registry.versions()):
        record = registry.read(version)
        if not isinstance(record, VersionRecord):
            rows.append(dict.fromkeys(_COLUMNS) | {"version": version, "created (UTC)": "damaged"})
            continue
        values = (
            version,
            labels.get(version),
            f"{record.created:%Y-%m-%d %H:%M}",
            record.preset,
            *(record.metrics.get(name) for name in ("auc", "sensitivity", "specificity")),
            record.parents.data_version[:12],
        )
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    for one in registry.damaged():
        say(Console(stderr=True), f"warning: {one}")
    print_list(rows, title=f"versions of {registry.model_name}", key="version", as_json=as_json)


@models.command("show")
def show(version: VersionArgument, workspace: WorkspaceOption = Path("workspace")) -> None:
    """Print one version's whole record as JSON.

    Example:  melanosizer models show 1795303056 | jq .verdicts
    """
    print(registry_of(workspace).record(version).model_dump_json(indent=2))


@models.command("promote")
def promote(
    version: VersionArgument,
    why: WhyOption,
    who: WhoOption = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Serve VERSION: servers load it beside the present one, then the label `stable` moves to it.

    Example:  melanosizer models promote 1795303056 --why "better on the new camera"
    """
    registry = registry_of(workspace)
    registry.promote(version, who or process.user(), why)
    _release(registry, version, f"serving version {version}")


@models.command("rollback")
def rollback(
    why: WhyOption,
    version: Annotated[
        str | None, typer.Argument(help="The version to go back to. Without it, the one served before.")
    ] = None,
    who: WhoOption = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Serve an earlier version again, and record who did it and why.

    Example:  melanosizer models rollback --why "misses amelanotic lesions"
    """
    registry = registry_of(workspace)
    target = registry.rollback(version, who or process.user(), why)
    _release(registry, target, f"rolled back: serving version {target}")


@models.command("canary")
def canary(
    why: WhyOption,
    version: Annotated[
        str | None, typer.Argument(help="The version to try. Without it, the present canary is ended.")
    ] = None,
    who: WhoOption = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Serve VERSION beside the stable one, under the label `canary`; without VERSION, end the canary.

    Example:  melanosizer models canary 1795303056 --why "half of the devices for a week"
    """
    registry = registry_of(workspace)
    registry.canary(version, who or process.user(), why)
    if version is None:
        say(Console(), "the canary is ended")
    else:
        _release(registry, version, f"canary: version {version}")


@models.command("settle")
def settle(workspace: WorkspaceOption = Path("workspace")) -> None:
    """Move labels to released versions that every server has loaded by now; says what is waited for.

    Every other command of `models` does it; this one is for a schedule, or after one that was stopped.

    Example:  melanosizer models settle
    """
    waiting = registry_of(workspace).settle()
    say(Console(), f"version {waiting}" if waiting else "labels are as decided")


def _release(registry: Registry, version: str, done: str) -> None:
    """Wait until the version is served, and say so; after three minutes say what it waits for."""
    console = Console()
    with console.status(f"version {version} is loaded by the servers"):
        waiting = registry.release(version)
    say(console, f"version {waiting}; `melanosizer models settle` goes on" if waiting else done)
