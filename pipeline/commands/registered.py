"""Every command by its name. Each imports what it needs when it is called, so that --help answers at once."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

import typer

from pipeline.commands.compile import compile
from pipeline.commands.dashboard import dashboard
from pipeline.commands.doctor import doctor
from pipeline.commands.evaluate import evaluate
from pipeline.commands.ingest import ingest
from pipeline.commands.models import models
from pipeline.commands.predict import predict
from pipeline.commands.predict_batch import predict_batch
from pipeline.commands.quickstart import quickstart
from pipeline.commands.report import report
from pipeline.commands.run import run
from pipeline.commands.serve import serve
from pipeline.commands.submit import submit
from pipeline.commands.synth import synth
from pipeline.commands.train_worker import train_worker

ENTRY_POINTS: Final = "melanosizer.commands"
"""The group of entry points by which a room above the pipeline adds commands to it."""


def add_to(app: typer.Typer) -> None:
    """Give ``app`` all commands."""
    for name, command in (
        ("quickstart", quickstart),
        ("synth", synth),
        ("ingest", ingest),
        ("run", run),
        ("train-worker", train_worker),
        ("report", report),
        ("evaluate", evaluate),
        ("serve", serve),
        ("predict", predict),
        ("predict-batch", predict_batch),
        ("compile", compile),
        ("submit", submit),
        ("dashboard", dashboard),
        ("doctor", doctor),
    ):
        app.command(name)(command)
    app.add_typer(models, name="models")
    _add_installed(app)


def _add_installed(app: typer.Typer) -> None:
    """Add the commands that other packages announce; a room that an image left out announces in vain."""
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        room = entry.module.partition(".")[0]
        try:
            command = entry.load()
        except ModuleNotFoundError as error:
            if error.name != room:
                raise
            continue
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)
