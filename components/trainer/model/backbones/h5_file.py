"""Put the weights of an HDF5 file into a network, layer by layer, by name; write those of several networks.

Both of Keras's layouts are read: Keras 3's (`layers/<kind>/vars`, whose attribute `name` is the layer's name)
and the legacy one of keras.applications (`layer_names`, `weight_names`). Only numbers are read:
no class in the file is ever built. Layers that the file holds beyond the network's are ignored
(the head of the model it came from); a layer it lacks is an error.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from components.trainer.model.backbones.backbone import WeightsFileError

Arrays = list[NDArray[Any]]

_MEMBERS: Final = "members"  # attribute: how many networks the file holds, each in a group of its own


def write(path: Path, networks: Sequence[keras.Model]) -> None:
    """Write the weights of networks, exactly; as large as their variables."""
    with h5py.File(path, "w") as file:
        file.attrs[_MEMBERS] = len(networks)
        for number, model in enumerate(networks):
            for layer in model.layers:
                if not layer.weights:
                    continue
                group = file.create_group(f"{_group(number)}/layers/{layer.name}/vars")
                group.attrs["name"] = layer.name
                for index, array in enumerate(layer.get_weights()):
                    group.create_dataset(str(index), data=array)


def assign(model: keras.Model, source: Path | io.BytesIO, member: int | None = None) -> None:
    """Load `source` into `model`; raises WeightsFileError when a layer is missing or its shape differs.

    Of a file that `write` made, `member` says which network is meant; None is the last one.
    """
    with h5py.File(source, "r") as file:
        legacy = "layer_names" in file.attrs or "model_weights" in file
        found = _legacy(file) if legacy else _keras3(_chosen(file, member))
    wanted = [layer for layer in model.layers if layer.weights]
    missing = [layer.name for layer in wanted if layer.name not in found]
    if missing and legacy:
        # Old files number unnamed layers anew (conv2d_94) and nest some: there the order is what counts.
        arrays = chain.from_iterable(found.values())
        found = {layer.name: list(islice(arrays, len(layer.weights))) for layer in wanted}
    elif missing:
        raise WeightsFileError(
            f"{len(missing)} of {len(wanted)} layers are not in the file, such as {missing[0]}: "
            "another network's weights"
        )
    fitted = {layer.name: _fit(layer, found[layer.name]) for layer in wanted}
    for layer in wanted:
        layer.set_weights(fitted[layer.name])


def _group(number: int) -> str:
    return f"member_{number}"


def _chosen(file: h5py.File, member: int | None) -> h5py.Group:
    count = int(file.attrs.get(_MEMBERS, 0))
    if member is not None and member >= max(count, 1):
        raise WeightsFileError(f"member={member}: the file holds members 0 to {max(count, 1) - 1}")
    if not count:
        return file
    return file[_group(count - 1 if member is None else member)]


def _fit(layer: keras.Layer, arrays: Arrays) -> Arrays:
    """Return `arrays` in the shapes of the layer's weights; WeightsFileError where they are others."""
    shapes = [tuple(weight.shape) for weight in layer.weights]
    fitted = [
        a.reshape(s) if a.shape in (s, _grouped(layer, s)) else a
        for a, s in zip(arrays, shapes, strict=False)
    ]
    if [a.shape for a in fitted] != shapes:
        raise WeightsFileError(
            f"layer {layer.name} has shapes {[a.shape for a in arrays]} in the file and {shapes} here: "
            "another network's weights"
        )
    return fitted


def _grouped(layer: keras.Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a depthwise kernel as a grouped convolution's: see flatten.py."""
    if not isinstance(layer, keras.layers.DepthwiseConv2D) or len(shape) != 4:
        return shape
    height, width, channels, multiplier = shape
    return (height, width, multiplier, channels)


def _keras3(file: h5py.Group) -> dict[str, Arrays]:
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
