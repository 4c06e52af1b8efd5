"""What every network in the registry hands to the Trainer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import keras

Expects = Literal["rgb", "standardised"]


@dataclass(frozen=True)
class Backbone:
    """A network up to its last feature map, as one flat functional graph (never a nested model)."""

    name: str
    inputs: keras.KerasTensor
    """float32 [batch, size, size, 3]; pixels 0..255 in RGB order, or standardised ones: see `expects`."""
    features: keras.KerasTensor
    """float32 [batch, height, width, channels], before any pooling."""
    expects: Expects
    """"rgb": its own preprocessing is in the graph; "standardised": the Transform step's is needed."""
    blocks: tuple[tuple[str, ...], ...]
    """Names of the layers that hold weights, block by block, the stem first."""
    last_conv: str
    """The layer whose output Grad-CAM reads: the last one that still has height and width."""
    taps: tuple[str, ...]
    """Layers whose outputs serve as features of several levels, the finest first."""
    weights: str = "none"
    """Where the weights came from, for the model card."""

    def model(self) -> keras.Model:
        """Return the network from `inputs` to `features`; its layers are shared with this object."""
        return keras.Model(self.inputs, self.features, name=self.name)

    def last_blocks(self, count: int) -> tuple[str, ...]:
        """Return the names of the layers of the last `count` blocks; more than there are means all."""
        if count < 0:
            raise ValueError(f"last_blocks: {count} blocks; 0 to {len(self.blocks)} are possible")
        chosen = self.blocks[max(0, len(self.blocks) - count) :]
        return tuple(name for block in chosen for name in block)


def group(model: keras.Model, starts: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Cut the layers that hold weights into blocks; each name in `starts` opens the next one.

    Layers are taken in the model's own order. What lies before the first name belongs to the stem.
    """
    openers = set(starts)
    missing = openers - {layer.name for layer in model.layers}
    if missing:
        raise ValueError(f"blocks of {model.name}: there is no layer named {sorted(missing)}")
    blocks: list[list[str]] = [[]]
    for layer in model.layers:
        if layer.name in openers and blocks[-1]:
            blocks.append([])
        if layer.weights:
            blocks[-1].append(layer.name)
    return tuple(tuple(block) for block in blocks if block)
