"""Lay a network of keras.applications out as one flat graph with names that never change.

Some of them hold Sequential models inside (ConvNeXt), which breaks Grad-CAM; and layers without a
name of their own are numbered through the process (`conv2d_94`), so that the weights of one run
could not be found by name in the next.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import keras


def flatten(model: keras.Model) -> keras.Model:
    """Return a copy of `model` without models inside, unnamed layers numbered from 0; weights are kept.

    Convolutions of one channel a group become depthwise ones.
    """
    copies: dict[int, keras.Layer] = {}
    counts: Counter[str] = Counter()

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model) or not isinstance(layer, keras.Layer):
            return layer  # `call` lays a model out; an operation such as a slice has no state to copy
        if id(layer) not in copies:
            config = layer.get_config()
            kind = _kind(layer)
            if re.fullmatch(rf"{kind}(_\d+)?", layer.name):
                config["name"] = f"{kind}_{counts[kind]:03d}"
                counts[kind] += 1
            copies[id(layer)] = (
                _depthwise(config) if _is_depthwise(layer) else type(layer).from_config(config)
            )
        return copies[id(layer)]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(layer, keras.Sequential):
            return layer(*args, **kwargs)
        (x,) = args
        for inner in layer.layers:
            x = copy(inner)(x)
        return x

    clone = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in leaves(model):
        if layer.weights:
            pairs = zip(copies[id(layer)].weights, layer.get_weights(), strict=True)
            copies[id(layer)].set_weights([value.reshape(weight.shape) for weight, value in pairs])
    return clone


def leaves(model: keras.Model) -> list[keras.Layer]:
    """Return the layers of `model` and of the models in it, without those models themselves."""
    return [
        leaf
        for layer in model.layers
        for leaf in (leaves(layer) if isinstance(layer, keras.Model) else [layer])
    ]


def _is_depthwise(layer: keras.Layer) -> bool:
    return (
        isinstance(layer, keras.layers.Conv2D) and layer.groups == layer.filters == layer.input.shape[-1] > 1
    )


def _depthwise(config: dict[str, Any]) -> keras.Layer:
    """Return the layer for a grouped convolution of one channel a group.

    TensorFlow has no kernel for the grouped one on a CPU: Keras compiles it by XLA, an order of
    magnitude slower, and not every server links XLA. The kernel holds the same numbers in the same
    order: [height, width, 1, channels] becomes [height, width, channels, 1].
    """
    kept = ("name", "kernel_size", "strides", "padding", "use_bias", "activation", "dtype", "trainable")
    return keras.layers.DepthwiseConv2D(
        **{key: config[key] for key in kept},
        depthwise_initializer=config["kernel_initializer"],
        bias_initializer=config["bias_initializer"],
    )


def _kind(layer: keras.Layer) -> str:
    """Return the stem of the name Keras makes up for a layer of this class: Conv2D gives conv2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
