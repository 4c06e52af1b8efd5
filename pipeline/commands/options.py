"""The options that several commands share, and what is checked of them before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import UsageError

if TYPE_CHECKING:
    from core.records.version import VersionRecord
    from core.registry.store import Registry


def existing(path: Path | None) -> Path | None:
    """Return the path of `--data`.

    Raises:
        UsageError: there is nothing.
    """
    if path is not None and not path.exists():
        raise UsageError(f"--data {path}: does not exist; name an ingested data set, a folder or a table")
    return path


def _reason(text: str) -> str:
    if not text.strip():
        raise UsageError("--why: is empty; say in a few words why the served version changes")
    return text


WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", help="The folder that holds everything runs make.", show_default=True),
]
DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        "-d",
        callback=existing,
        help="An ingested data set, or images: a folder or table that ingest understands.",
    ),
]
PresetOption = Annotated[
    str,
    typer.Option(
        "--preset",
        "-p",
        help="The name of a preset (`melanosizer presets` lists them), or the path of a YAML file like one.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Overrides one value by its dotted key: --set evaluator.min_auc=0.85. May be repeated."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Prints JSON instead of a table.")]
WhyOption = Annotated[
    str,
    typer.Option(
        "--why", callback=_reason, help="The reason of the change, which the registry keeps for good."
    ),
]
WhoOption = Annotated[
    str | None, typer.Option("--who", help="The name of who decides. Without it, the user of this shell.")
]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="A released version. Without it, the one that is served.")
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="The name of a run, as its folder in WORKSPACE/runs. Without it, the newest that has ended.",
    ),
]


def registry_of(workspace: Path) -> Registry:
    """Return the registry of a workspace.

    Raises:
        UsageError: there is no workspace.
    """
    from core.features import MODEL_NAME
    from core.registry.store import Registry
    from core.workspace import Workspace

    return Registry(Workspace(workspace).existing().root, MODEL_NAME)


def released(workspace: Path, version: str | None) -> tuple[Registry, VersionRecord]:
    """Return a workspace's registry, and the record of a version in it, of the served one where none is named.

    Raises:
        UsageError: there is none.
    """
    from core.registry.reader import RegistryError

    registry = registry_of(workspace)
    chosen = version or registry.channels().stable
    if chosen is None:
        raise UsageError(
            f"--workspace {workspace}: no version was released there yet; run the pipeline first"
        )
    try:
        return registry, registry.record(chosen)
    except RegistryError as error:
        raise UsageError(f"--version: {error}") from None


def released_model(workspace: Path, version: str | None) -> Path:
    """Return the served folder of `released`."""
    registry, record = released(workspace, version)
    return registry.served / record.version


def overridden(overrides: list[str] | None) -> dict[str, str]:
    """Return the values of ``--set key=value`` by their dotted keys.

    Raises:
        UsageError: one has no equals sign.
    """
    result = {}
    for text in overrides or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write key=value, e.g. --set evaluator.min_auc=0.85")
        result[key] = value
    return result
