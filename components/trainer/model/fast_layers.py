"""The training step's convolutions: frozen batch-norm folded into them, and gradients that suit a CPU.

TensorFlow's own gradient kernels of 1x1 convolutions take a third longer than a forward convolution and a matrix
product for the same numbers; that of a 5x5 depthwise kernel lacks the fast path that 3x3 ones have. Nothing here
is exported: what is served is made by `folding`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import keras
import tensorflow as tf

from components.trainer.model import folding

_LARGEST_STRIDED: Final = 8  # side of the output up to which cutting a strided 5x5 kernel pays


def use(model: keras.Model, *, fold: bool) -> None:
    """Replace what the model's convolutions compute by the same in less time.

    Args:
        model: a flat functional model that is trained; its weights stay what they are.
        fold: whether its batch-norms never learn, so that they can be folded into the step: kernel times scale.
    """
    norms = {conv: norm for norm, conv in folding.foldable(model).items()} if fold else {}
    for layer in model.layers:
        norm = model.get_layer(norms[layer.name]) if layer.name in norms else None
        if type(layer) is keras.layers.Conv2D:
            # Conv layers document convolution_op as the method to replace.
            layer.convolution_op = _convolution(layer, norm)
        elif type(layer) is keras.layers.DepthwiseConv2D and _plain(layer):
            layer.call = _depthwise_call(layer, norm)
        else:
            norm = None
        if norm is not None:
            norm.call = lambda inputs, training=None, mask=None: inputs  # noqa: ARG005


@tf.custom_gradient
def pointwise(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Convolve with a 1x1 kernel; each of its gradients is one matrix product."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        channels, filters = kernel.shape[2:]
        rows = tf.reshape(upstream, [-1, filters])
        dx = tf.matmul(rows, tf.reshape(kernel, [channels, filters]), transpose_b=True)
        dw = tf.matmul(tf.reshape(x, [-1, channels]), rows, transpose_a=True)
        return tf.reshape(dx, tf.shape(x)), tf.reshape(dw, kernel.shape)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradient


def depthwise(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Convolve each channel with its own kernel ([height, width, channels, 1], padding "same").

    The gradient of a 5x5 kernel is put together from those of four 3x3 kernels, which overlap in the middle.
    """
    side, strides = x.shape[1], [1, stride, stride, 1]
    cut = side is not None and side == x.shape[2] and kernel.shape[:2] == [5, 5]
    if not cut or (stride > 1 and -(-side // stride) > _LARGEST_STRIDED):
        return tf.nn.depthwise_conv2d(x, kernel, strides, "SAME")

    @tf.custom_gradient
    def convolved(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dx = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, strides=strides, padding="SAME"
            )
            return dx, _kernel_gradient(x, upstream, stride)

        return tf.nn.depthwise_conv2d(x, kernel, strides, "SAME"), gradient

    return convolved(x, kernel)


def _kernel_gradient(x: tf.Tensor, upstream: tf.Tensor, stride: int) -> tf.Tensor:
    """Return the gradient of a 5x5 depthwise kernel."""
    side, channels = x.shape[1], x.shape[3]
    reach = (-(-side // stride) - 1) * stride
    before = max(reach + 5 - side, 0) // 2
    after = max(reach + 5 - side, 0) - before
    padded = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])

    def corner(row: int, column: int) -> tf.Tensor:
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=padded[:, row : row + reach + 3, column : column + reach + 3],
            filter_sizes=[3, 3, channels, 1],
            out_backprop=upstream,
            strides=[1, stride, stride, 1],
            padding="VALID",
        )

    top = tf.concat([corner(0, 0)[:, :2], corner(0, 2)], axis=1)
    bottom = tf.concat([corner(2, 0)[:, :2], corner(2, 2)], axis=1)
    return tf.concat([top[:2], bottom], axis=0)


def _convolution(layer: Any, norm: Any) -> Callable[[tf.Tensor, Any], tf.Tensor]:
    plain = layer.convolution_op
    single = layer.kernel_size == (1, 1) and layer.strides == (1, 1) and layer.groups == 1

    def convolution(inputs: tf.Tensor, kernel: Any) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        operation = pointwise if single else plain
        if norm is None:
            return operation(inputs, kernel)
        scale, shift = _scale_and_shift(layer, norm, kernel.dtype)
        return tf.nn.bias_add(operation(inputs, kernel * scale), shift)

    return convolution


def _plain(layer: Any) -> bool:
    """Tell whether `depthwise` computes what this depthwise layer does."""
    return (
        layer.padding == "same"
        and layer.depth_multiplier == 1
        and layer.strides[0] == layer.strides[1]
        and tuple(layer.dilation_rate) == (1, 1)
    )


def _depthwise_call(layer: Any, norm: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    def call(inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(layer.kernel)
        if norm is None:
            outputs = depthwise(inputs, kernel, layer.strides[0])
        else:
            scale, shift = _scale_and_shift(layer, norm, kernel.dtype)
            outputs = depthwise(inputs, kernel * scale[:, None], layer.strides[0])
            outputs = tf.nn.bias_add(outputs, shift)
        if layer.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(layer.bias))
        return outputs if layer.activation is None else layer.activation(outputs)

    return call


def _scale_and_shift(layer: Any, norm: Any, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what to multiply the kernel's filters by, and what to add before the layer's own bias is."""
    scale = tf.math.rsqrt(norm.moving_variance.value + norm.epsilon)
    if norm.scale:
        scale *= norm.gamma.value
    shift = -norm.moving_mean.value * scale
    if norm.center:
        shift += norm.beta.value
    if layer.use_bias:
        shift += layer.bias.value * (scale - 1.0)
    return tf.cast(scale, dtype), tf.cast(shift, dtype)
