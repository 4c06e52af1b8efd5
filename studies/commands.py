"""`melanosizer study`: the studies this product grew from, on data of your own."""

from __future__ import annotations

import typer

from studies.ladder.command import ladder
from studies.retrain.command import retrain
from studies.segmentation.command import segmentation

study = typer.Typer(
    help="Run the studies behind the product: the ladder, segmentation, the retrain flow.",
    no_args_is_help=True,
)
study.command("ladder")(ladder)
study.command("segmentation")(segmentation)
study.command("retrain")(retrain)
