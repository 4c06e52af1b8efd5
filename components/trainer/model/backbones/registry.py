"""Every backbone by its name: `build("efficientnet_lite0", size=224)`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, Literal

from components.trainer.model.backbones import applications, efficientnet_lite, studies
from components.trainer.model.backbones import weights as weights_of
from components.trainer.model.backbones.backbone import (
    Backbone,
    UnknownBackboneError,
    WeightsUnavailableError,
)

_log = logging.getLogger(__name__)

OnMissing = Literal["random", "fail"]
Builder = Callable[[str, int | None, bool], Backbone]

_BUILDERS: Final[dict[str, Builder]] = {
    **dict.fromkeys(efficientnet_lite.NAMES, efficientnet_lite.build),
    **dict.fromkeys(applications.NAMES, applications.build),
    **dict.fromkeys(studies.NAMES, studies.build),
}


def names() -> tuple[str, ...]:
    """Return the names `build` knows, family by family."""
    return tuple(_BUILDERS)


def check(name: str, sides: Iterable[int]) -> None:
    """Raise UnknownBackboneError, or ValueError for pictures too small for `name`, before anything is built."""
    if name not in _BUILDERS:
        raise UnknownBackboneError(name, names())
    least = {**applications.LEAST, **studies.LEAST}.get(name, 1)
    for side in sides:
        if side < least:
            raise ValueError(f"image size: {side} px is too small for {name}; valid: {least} and more")


def build(
    name: str, *, size: int | None, weights: str = "imagenet", on_missing_weights: OnMissing = "fail"
) -> Backbone:
    """Build the backbone `name` for images of `size` pixels a side.

    `size` None leaves height and width open, where the network can. `weights` is one of:
    "imagenet"; "none" (random); a path, or an https URL, of a .keras, .h5 or .pth file, with
    `#sha256=<64 hex digits>` (a URL needs it); `pushed:<directory of a pushed SavedModel>`, of whose
    networks the last one is taken unless `#member=<n>` stands behind it.
    `on_missing_weights` says what happens when ImageNet's cannot be had here: "fail" raises
    WeightsUnavailableError, "random" warns and goes on; `Backbone.weights` tells which it was.

    Raises UnknownBackboneError, WeightsUnavailableError, WeightsFileError; ValueError for a size too small.
    """
    check(name, () if size is None else (size,))
    builder = _BUILDERS[name]
    try:
        backbone = builder(name, size, weights == "imagenet")
        if weights in ("imagenet", "none"):
            return backbone
        return replace(backbone, weights=weights_of.load(backbone, weights))
    except WeightsUnavailableError as error:
        if on_missing_weights == "fail":
            raise WeightsUnavailableError(
                f"{error}. Give weights: a file, a URL with its SHA-256, or none; "
                "or set on_missing_weights: random to train from random weights."
            ) from error
        _log.warning("%s. Going on with random weights (on_missing_weights: random).", error)
        return replace(builder(name, size, False), weights=f"random, for want of {weights}")
