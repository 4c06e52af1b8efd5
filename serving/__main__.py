"""`melanosizer-serve` and `python -m serving`: the model server's command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from core.errors import USAGE, missing_extra


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; 0 after a clean stop, 2 for a command line or file that cannot be, 1 for a fault."""
    try:
        return _run(arguments)
    except ModuleNotFoundError as error:
        print(f"melanosizer-serve: {missing_extra(error, 'melanosizer-serve', 'serving')}", file=sys.stderr)
        return USAGE


def _run(arguments: Sequence[str] | None) -> int:
    from core import process, telemetry
    from core.errors import UsageError
    from serving import flags
    from serving.operations import logs
    from serving.status import Code, ServingError

    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if any(argument in ("--help", "-h", "-help") for argument in arguments):
        print(flags.usage())
        return 0
    try:
        options = flags.parse(arguments)
    except UsageError as error:
        print(f"melanosizer-serve: {error}", file=sys.stderr)
        return 2
    if options.version:
        print(f"TensorFlow ModelServer: melanosizer {_version('melanosizer')}")
        print(f"TensorFlow Library: {_version('tensorflow')}")
        return 0
    process.ensure_home()
    logs.configure(options.log_format, options.log_level)
    from serving.server import ModelServer

    telemetry.configure("melanosizer-serving")
    try:
        ModelServer(options).run_until_signalled()
    except ServingError as error:
        print(f"Failed to start server. Error: {error.to_string()}", file=sys.stderr)
        return 2 if error.code in (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION) else 1
    except OSError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return 1
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
