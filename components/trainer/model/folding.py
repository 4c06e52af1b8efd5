"""Batch-norm folded into the convolution before it: the same network in fewer, faster operations.

A batch-norm that does not learn is a scale and a shift of each channel, and so is what a convolution does to each
of its filters (Jacob et al., CVPR 2018, section 3.2). What is left, convolution, bias and activation, is one operation
to oneDNN, XNNPACK and the graph optimiser.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

_FOLDED_INTO = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def foldable(model: keras.Model) -> dict[str, str]:
    """Return the name of each batch-norm that can be folded, and that of the convolution whose only reader it is."""
    pairs: dict[str, str] = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        source = layer.input._keras_history.operation
        if (
            isinstance(source, _FOLDED_INTO)
            and keras.activations.serialize(source.activation) == "linear"
            and len(source._outbound_nodes) == 1
            and len(layer._inbound_nodes) == 1
            and layer.axis in (-1, 3)
        ):
            pairs[layer.name] = source.name
    return pairs


def folded(model: keras.Model) -> keras.Model:
    """Copy a flat functional model with its batch-norms folded; the answers differ by rounding only."""
    pairs = foldable(model)
    convolutions = set(pairs.values())
    copies: dict[str, Any] = {}

    def copy(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):
            return layer  # an operation such as a slice has no state to copy
        config = layer.get_config()
        if layer.name in convolutions:
            config["use_bias"] = True
        copies[layer.name] = type(layer).from_config(config)
        return copies[layer.name]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in pairs:
            return args[0]
        return layer(*args, **kwargs)

    clone = keras.models.clone_model(model, clone_function=copy, call_function=call)
    norms = {conv: model.get_layer(norm) for norm, conv in pairs.items()}
    for layer in model.layers:
        if layer.name in pairs or not layer.weights:
            continue
        values = layer.get_weights()
        if layer.name in norms:
            values = _with(layer, values, *scale_and_shift(norms[layer.name]))
        copies[layer.name].set_weights(values)
    return clone


def scale_and_shift(norm: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what a batch-norm in inference multiplies each channel by, and what it adds; [channels] each."""
    mean, variance = (np.asarray(value, np.float64) for value in (norm.moving_mean, norm.moving_variance))
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    shift = -mean * scale
    if norm.center:
        shift = shift + np.asarray(norm.beta, np.float64)
    return scale, shift


def _with(
    layer: Any, values: list[npt.NDArray[Any]], scale: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]
) -> list[npt.NDArray[np.float32]]:
    """Return a convolution's weights, the last kernel scaled by filter, and its bias."""
    *kernels, bias = values if layer.use_bias else [*values, np.zeros_like(shift)]
    # A depthwise kernel is [height, width, channels, multiplier], the others end in their filters.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    last = kernels[-1] * (scale.reshape(kernels[-1].shape[2:]) if depthwise else scale)
    return [np.asarray(value, np.float32) for value in (*kernels[:-1], last, bias * scale + shift)]
