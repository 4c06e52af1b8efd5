"""The device: photographs a lesion, keeps every examination and asks the model server."""

import sys

from core.errors import USAGE, missing_extra

__version__ = "0.1.0"


def main() -> int:
    """Run `melanosizer-edge`; 2 if the libraries of the device are not installed."""
    try:
        from edge.__main__ import main as run

        return run()
    except ModuleNotFoundError as error:
        print(f"melanosizer-edge: {missing_extra(error, 'melanosizer-edge', 'edge')}", file=sys.stderr)
        return USAGE
