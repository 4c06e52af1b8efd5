"""The command line: `melanosizer COMMAND --help`."""

from __future__ import annotations

import os
import sys

# Before anything imports TensorFlow: its start-up chatter is not for the user of a command.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import typer
from rich.console import Console

from core.errors import FAULT, USAGE, RunFaultError, UsageError
from pipeline import native_output
from pipeline.commands import registered

ROOMS = frozenset({"core", "serving", "components", "pipeline", "studies", "dashboard", "edge", "schemas"})
EXTRAS = {"serve": "serving", "predict": "serving", "dashboard": "dashboard"}
"""Commands that need another extra than [pipeline]."""

app = typer.Typer(
    name="melanosizer",
    help="Train, gate, release and serve a melanoma classifier. Not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
registered.add_to(app)


def main() -> None:
    """Run a command; end with 0 done, 1 fault, 2 wrong usage or bad input, 3 refused by a gate."""
    with native_output.hidden():
        _run(Console(stderr=True))


def _run(errors: Console) -> None:
    try:
        app()
    except UsageError as error:
        errors.print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(USAGE)
    except RunFaultError as error:
        errors.print(f"[bold red]fault:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(FAULT)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ROOMS:
            raise
        errors.print(
            _plain(_missing(error.name or str(error), sys.argv[1:])), highlight=False, soft_wrap=True
        )
        sys.exit(USAGE)
    except KeyboardInterrupt:
        errors.print("interrupted; the same command takes up what was finished")
        sys.exit(130)


def _missing(module: str, arguments: list[str]) -> str:
    """Return the sentence that names the extra of the command that was asked for."""
    command = next((text for text in arguments if not text.startswith("-")), "")
    extra = EXTRAS.get(command, "pipeline")
    return (
        f"error: {module} is not installed: `melanosizer {command}` needs the extra [{extra}]; "
        f"run `pip install 'melanosizer[{extra}]'`"
    )


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
