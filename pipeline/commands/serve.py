"""`melanosizer serve`: the embedded model server on a workspace's released models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from core.errors import RunFaultError, UsageError
from core.workspace import Workspace
from pipeline.commands.options import WorkspaceOption

_SETTLE_PERIOD_S = 5.0


def serve(
    workspace: WorkspaceOption = Path("workspace"),
    port: Annotated[int, typer.Option(help="The port of the gRPC interface.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="The port of the REST interface; 0 for none.")] = 8501,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    batching: Annotated[
        bool, typer.Option(help="Batches the requests of several callers, or answers each alone.")
    ] = True,
    flag: Annotated[
        list[str] | None,
        typer.Option(help="A flag of melanosizer-serve, as in drain_seconds=5. May be repeated."),
    ] = None,
) -> None:
    """Serve the released models over gRPC and REST, following new versions, until Ctrl-C.

    Example:  melanosizer serve --workspace workspace --port 8500
    """
    from serving import flags
    from serving.operations import logs
    from serving.server import ModelServer
    from serving.status import Code, ServingError

    arguments = [f"--{one.removeprefix('--')}" for one in flag or []]
    try:
        options = flags.parse(
            [
                *_models(workspace),
                f"--port={port}",
                f"--rest_api_port={rest_port}",
                f"--host={host}",
                f"--enable_batching={str(batching).lower()}",
                "--enable_grpc_healthcheck_service",
                "--log_format=text",
                f"--request_log_dir={workspace / 'predictions'}",
                *arguments,
            ]
        )
        logs.configure(options.log_format, options.log_level)
        with _settling(workspace):
            ModelServer(options).run_until_signalled()
    except ServingError as error:
        wrong = error.code in (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION)
        raise (UsageError if wrong else RunFaultError)(f"the server did not start: {error.message}") from None


@contextmanager
def _settling(workspace: Path) -> Iterator[None]:
    """Complete releases while the server runs: those whose writer was stopped before every server had the version.

    It also makes models.config name this workspace's own folders, which were others if it was moved or copied. A
    workspace that may only be read is served as it is.
    """
    from core.features import MODEL_NAME
    from core.registry.store import Registry
    from core.worker import Worker

    if not Workspace(workspace).records(MODEL_NAME).is_dir():
        yield
        return
    registry = Registry(workspace, MODEL_NAME)

    def settle() -> None:
        with suppress(OSError):
            registry.settle()

    settle()
    settler = Worker("registry-settle", _SETTLE_PERIOD_S, settle)
    settler.start()
    try:
        yield
    finally:
        settler.stop()


def _models(workspace: Path) -> list[str]:
    """The flags that name what a workspace has released."""
    from core.features import MODEL_NAME

    place = Workspace(workspace)
    config = place.server_config
    if config.is_file():
        return [
            f"--model_config_file={config}",
            "--model_config_file_poll_wait_seconds=1",
            "--allow_version_labels_for_unavailable_models",
        ]
    folder = place.served(MODEL_NAME)
    if folder.is_dir():
        return [f"--model_base_path={folder.absolute()}", f"--model_name={MODEL_NAME}"]
    raise UsageError(
        f"no released model in {workspace}: neither {config} nor {folder} exists. "
        "Run `melanosizer run` first, or name the right folder with --workspace"
    )
