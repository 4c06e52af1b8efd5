"""The command line: `melanosizer COMMAND --help`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version
from typing import Annotated, Any, Final, NoReturn

# Before anything imports TensorFlow: its start-up chatter is not for the user of a command.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import typer
from rich.console import Console
from typer.core import TyperOption

from core import process
from core.errors import FAULT, USAGE, RunFaultError, UsageError, missing_extra
from pipeline import native_output
from pipeline.commands.compile import compile
from pipeline.commands.doctor import doctor
from pipeline.commands.evaluate import evaluate
from pipeline.commands.ingest import ingest
from pipeline.commands.listing import presets, runs
from pipeline.commands.models import models
from pipeline.commands.predict import predict
from pipeline.commands.predict_batch import predict_batch
from pipeline.commands.quickstart import quickstart
from pipeline.commands.recalibrate import recalibrate
from pipeline.commands.report import report
from pipeline.commands.run import run
from pipeline.commands.send import send
from pipeline.commands.serve import serve
from pipeline.commands.submit import submit
from pipeline.commands.synth import synth
from pipeline.commands.train_worker import train_worker
from pipeline.console import say

ENTRY_POINTS: Final = "melanosizer.commands"
"""The group of entry points by which a room above the pipeline adds commands to it."""

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "quickstart": quickstart,
    "synth": synth,
    "ingest": ingest,
    "run": run,
    "presets": presets,
    "runs": runs,
    "train-worker": train_worker,
    "report": report,
    "evaluate": evaluate,
    "send": send,
    "recalibrate": recalibrate,
    "serve": serve,
    "predict": predict,
    "predict-batch": predict_batch,
    "compile": compile,
    "submit": submit,
    "doctor": doctor,
}
"""Each imports what it needs when it is called, so that --help answers at once."""

EXTRAS = {"serve": "serving", "predict": "serving", "dashboard": "dashboard"}
"""Commands that need another extra than [pipeline]."""
OPTIONAL = {"mlflow": "mlflow", "openlineage": "openlineage"}
"""Modules that have an extra of their own."""

app = typer.Typer(
    name="melanosizer",
    help="Train, gate, release and serve a melanoma classifier. Not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _without_flag_types() -> None:
    """Keep typer from writing `<bool>` behind an option that takes no value."""
    shown = TyperOption.display_type_rich

    def display_type_rich(self: TyperOption, ctx: Any) -> str | None:
        return None if self.is_bool_flag else shown(self, ctx)

    TyperOption.display_type_rich = display_type_rich  # type: ignore[method-assign]


_without_flag_types()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"melanosizer {version('melanosizer')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Prints the version and ends.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


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


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(models, name="models")
_add_installed(app)


_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


def main() -> None:
    """Run a command; end with 0 done, 1 fault, 2 wrong usage or bad input, 3 refused by a gate."""
    process.ensure_home()
    with native_output.hidden():
        _run(Console(stderr=True))


def _run(errors: Console) -> None:
    try:
        app()
    except UsageError as error:
        _end(errors, USAGE, str(error))
    except RunFaultError as error:
        _end(errors, FAULT, str(error))
    except ModuleNotFoundError as error:
        command = next((text for text in sys.argv[1:] if not text.startswith("-")), "")
        said = missing_extra(
            error,
            f"melanosizer {command}",
            OPTIONAL.get((error.name or "").partition(".")[0]) or EXTRAS.get(command, "pipeline"),
        )
        _end(errors, USAGE, said)
    except OSError as error:
        # A full or read-only disk, or a place that may not be written, met where no command expects it.
        if error.errno not in _DISK:
            raise
        said = f"{error.filename or 'a file'}: {error.strerror}; mend that, then run the same command again"
        _end(errors, FAULT, said)
    except KeyboardInterrupt:
        errors.print("interrupted; the same command takes up what was finished")
        sys.exit(130)


def _end(errors: Console, code: int, text: str) -> NoReturn:
    said = text.replace("[", r"\[")
    say(errors, f"[bold red]{'error' if code == USAGE else 'fault'}:[/] {said}")
    sys.exit(code)


if __name__ == "__main__":
    main()
