"""`melanosizer train-worker`: one of several processes that train one model together."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import RunFaultError, UsageError
from pipeline.commands.options import PresetOption, SetOption, WorkspaceOption, overridden
from pipeline.console import say


def train_worker(
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="The folder that the model and what its training measured are written to."
        ),
    ],
    run: Annotated[
        str | None, typer.Option(help="The run whose data is trained on. Without it, the newest with data.")
    ] = None,
    preset: PresetOption = "full-gpu",
    workspace: WorkspaceOption = Path("workspace"),
    overrides: SetOption = None,
) -> None:
    """Train with the other processes that TF_CONFIG names, each on its share of every batch.

    Start the same command on every machine, or once a GPU; workspace and --out are folders that all of
    them see. Worker 0 writes the model, which is neither judged nor released. Started again after a
    failure, all go on from the last backup. The data is that of a run of the workspace.

    Example:  melanosizer train-worker --workspace /workspace --preset full-gpu --out /workspace/trained
    """
    from pipeline import config

    settings = config.load(preset, {**overridden(overrides), "trainer.distribution": "workers"})

    from core.workspace import Workspace
    from pipeline import prepared, prerequisites

    place = Workspace(workspace).existing()
    data = prepared.find(place, run)
    given = data.fn_args(settings, place, out)
    prerequisites.check(settings, place, given.hyperparameters["data_version"])

    import tensorflow as tf

    from components.trainer.data.records import DataError
    from components.trainer.fit import distribution
    from components.trainer.model.backbones.backbone import (
        UnknownBackboneError,
        WeightsFileError,
        WeightsUnavailableError,
    )
    from components.trainer.run import run_fn

    try:
        workers = distribution.workers(settings.trainer.distribution)
        run_fn(given)
    except (distribution.WorkersError, DataError, UnknownBackboneError, WeightsFileError) as error:
        raise UsageError(str(error)) from None
    except WeightsUnavailableError as error:
        raise RunFaultError(str(error)) from None
    except tf.errors.OpError as error:
        raise RunFaultError(
            f"{type(error).__name__}: {error.message}. Where a worker was lost, start all of them again: they go on "
            "from the last backup"
        ) from error
    console = Console()
    if not workers.chief:
        say(console, f"worker {workers.number + 1} of {workers.count}: done; worker 1 has written the model")
        return
    model = out / "model"
    say(console, f"model of run {data.run_id}'s data in {model}")
    measure = ["melanosizer", "evaluate", "--data", data.data, "--model", str(model), "--preset", preset]
    say(console, f"measure it with  {shlex.join(measure)}")
