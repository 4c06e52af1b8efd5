"""What can be wrong with a backbone's name or its weights, said so that the reader can act."""

from __future__ import annotations

from collections.abc import Iterable


class UnknownBackboneError(ValueError):
    """The registry has no network of that name."""

    def __init__(self, name: str, valid: Iterable[str]) -> None:
        super().__init__(f"backbone: {name!r} is unknown; valid: {', '.join(valid)}")


class WeightsUnavailableError(RuntimeError):
    """The weights exist but cannot be had here: no network, or a package that is not installed."""


class WeightsFileError(ValueError):
    """The weights are here but are not what was asked for: damaged, another hash, another network."""
