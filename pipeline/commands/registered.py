"""Every command by its name. Each imports what it needs when it is called, so that --help answers at once."""

from __future__ import annotations

import typer

from pipeline.commands.baselines import baselines
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
from pipeline.commands.study import study
from pipeline.commands.submit import submit
from pipeline.commands.synth import synth
from pipeline.commands.train_worker import train_worker


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
        ("baselines", baselines),
        ("compile", compile),
        ("submit", submit),
        ("dashboard", dashboard),
        ("doctor", doctor),
    ):
        app.command(name)(command)
    app.add_typer(models, name="models")
    app.add_typer(study, name="study")
