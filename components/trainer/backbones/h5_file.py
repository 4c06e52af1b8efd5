"""Put the weights of an HDF5 file into a network, layer by layer, by name.

Both layouts are read: Keras 3's (`layers/<kind>/vars`, whose attribute `name` is the layer's name)
and the legacy one of keras.applications (`layer_names`, `weight_names`). Only numbers are read:
no class in the file is ever built. Layers that the file holds beyond the network's are ignored
(the head of the model it came from); a layer it lacks is an error.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
from numpy.typing import NDArray

from components.trainer.backbones.errors import WeightsFileError

Arrays = list[NDArray[Any]]


def assign(model: keras.Model, source: Path | io.BytesIO) -> None:
    """Load `source` into `model`; raises WeightsFileError when a layer is missing or its shape differs."""
    with h5py.File(source, "r") as file:
        legacy = "layer_names" in file.attrs or "model_weights" in file
        found = _legacy(file) if legacy else _keras3(file)
    wanted = [layer for layer in model.layers if layer.weights]
    missing = [layer.name for layer in wanted if layer.name not in found]
    if missing and legacy and _fits(wanted, list(found.values())):
        # Old files number unnamed layers anew (conv2d_94): there the order is what counts.
        found = {layer.name: arrays for layer, arrays in zip(wanted, found.values(), strict=False)}
    elif missing:
        raise WeightsFileError(
            f"{len(missing)} of {len(wanted)} layers are not in the file, such as {missing[0]}: "
            "another network's weights"
        )
    if not _fits(wanted, [found[layer.name] for layer in wanted]):
        wrong = next(layer for layer in wanted if not _fits([layer], [found[layer.name]]))
        raise WeightsFileError(
            f"layer {wrong.name} has shapes {[a.shape for a in found[wrong.name]]} in the file "
            f"and {[tuple(w.shape) for w in wrong.weights]} here"
        )
    for layer in wanted:
        layer.set_weights(found[layer.name])


def _fits(layers: list[keras.Layer], arrays: list[Arrays]) -> bool:
    return len(arrays) >= len(layers) and all(
        [tuple(w.shape) for w in layer.weights] == [a.shape for a in values]
        for layer, values in zip(layers, arrays, strict=False)
    )


def _keras3(file: h5py.File) -> dict[str, Arrays]:
    found: dict[str, Arrays] = {}

    def visit(path: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group) and path.rpartition("/")[2] == "vars" and len(item):
            name = item.attrs.get("name")
            if name is not None and "optimizer" not in path.split("/"):
                found[str(name)] = [np.asarray(item[key]) for key in sorted(item, key=int)]

    file.visititems(visit)
    return found


def _legacy(file: h5py.File) -> dict[str, Arrays]:
    root = file.get("model_weights", file)
    found: dict[str, Arrays] = {}
    for name in map(_text, root.attrs["layer_names"]):
        weights = [_text(w) for w in root[name].attrs["weight_names"]]
        if weights:
            found[name] = [np.asarray(root[name][w]) for w in weights]
    return found


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
