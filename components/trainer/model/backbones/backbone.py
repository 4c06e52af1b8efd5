"""What every network in the registry hands to the Trainer, and what can be wrong with its name or its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import keras

Expects = Literal["rgb", "standardised"]


class UnknownBackboneError(ValueError):
    """The registry has no network of that name."""

    def __init__(self, name: str, valid: Iterable[str]) -> None:
        super().__init__(f"backbone: {name!r} is unknown; valid: {', '.join(valid)}")


class WeightsUnavailableError(RuntimeError):
    """The weights exist but cannot be had here: no network, or a package that is not installed."""


class WeightsFileError(ValueError):
    """The weights are here but are not what was asked for: damaged, another hash, another network."""


@dataclass(frozen=True)
class Backbone:
    """A network up to its last feature map, as one flat functional graph (never a nested model)."""

    name: str
    inputs: keras.KerasTensor  # float32 [batch, size, size, 3], RGB, as `expects` says
    features: keras.KerasTensor  # float32 [batch, height, width, channels], before any pooling
    # "rgb": pixels 0..255, preprocessed in the graph; "standardised": by the Transform step's moments.
    expects: Expects
    blocks: tuple[tuple[str, ...], ...]  # names of the layers with weights, block by block, the stem first
    taps: tuple[str, ...]  # layers whose outputs serve as features of several levels, the finest first
    weights: str = "none"  # where they came from, for the model card

    def model(self) -> keras.Model:
        """Return the network from `inputs` to `features`; its layers are shared with this object."""
        return keras.Model(self.inputs, self.features, name=self.name)


def blocks_by_key(
    model: keras.Model, pattern: re.Pattern[str], *, closes: bool = False
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Cut `model` into blocks: the layers with weights of each, and the name of each block's last layer.

    Layers are taken in the model's own order. One whose name matches `pattern` belongs to the block
    its first group spells; any other to the same block as the layer before it; what lies before the
    first match is the stem. With `closes`, a match is the last layer of its block.
    """
    members: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    key, number = "stem", 0
    for layer in model.layers:
        match = pattern.search(layer.name)
        if match and not closes:
            key = match.group(1)
        members.setdefault(key, [])
        if layer.weights:
            members[key].append(layer.name)
        ends[key] = layer.name
        if match and closes:
            number += 1
            key = f"block {number}"
    blocks = {name: tuple(layers) for name, layers in members.items() if layers}
    return tuple(blocks.values()), tuple(ends[name] for name in blocks)
