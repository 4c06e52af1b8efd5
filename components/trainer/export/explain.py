"""Where the networks looked: a heat map of what raised P(positive), and the picture with it laid over."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

from components.trainer.export.served import Served
from components.transform import images

HEAT_MAP: Final = "heat_map"  # float32 [batch, size, size] in 0..1
OVERLAY: Final = "overlay_bytes"  # string [batch], JPEG; the suffix makes TF Serving's REST answer base64
PROBABILITY: Final = "probability"

_OPACITY: Final = 0.55
_JPEG_QUALITY: Final = 85


def explain(served: Served, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
    """The `explain` signature: encoded pictures (string [batch]) to heat map, overlay and probability.

    HiResCAM (Draelos and Carin, 2020): gradients of the readout's log-odds times the last feature map, summed
    over channels, what lowers the odds cut away; averaged over members. Unlike Grad-CAM it shows only places
    the network really used.
    """
    pictures = images.decode_batch(image_bytes, served.image_size)
    class_probabilities, _ = served.classifier(pictures)
    heat = tf.add_n([_heat(served, number, pictures) for number in range(len(served.classifier.members))])
    heat = tf.image.resize(heat[..., None], [served.image_size] * 2, method="bicubic")[..., 0]
    heat = tf.maximum(heat, 0.0)
    heat /= tf.maximum(tf.reduce_max(heat, axis=[1, 2], keepdims=True), 1e-9)
    return {
        HEAT_MAP: heat,
        OVERLAY: _overlay(tf.cast(pictures, tf.float32), heat[..., None]),
        PROBABILITY: served.calibration(served.readout(class_probabilities)),
    }


def _heat(served: Served, number: int, pictures: tf.Tensor) -> tf.Tensor:
    """One member's map, float32 [batch, h, w] with a largest value of 1, at the first member's resolution."""
    member = served.classifier.members[number]
    pixels = images.view(pictures, member.size)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pixels)
        seen = member.network(pixels)
        probability = served.readout(tf.nn.softmax(seen.logits))
        odds = tf.math.log(probability) - tf.math.log1p(-probability)
    gradients = tape.gradient(odds, seen.maps)
    heat = tf.nn.relu(tf.reduce_sum(gradients * seen.maps, axis=-1))
    heat /= tf.maximum(tf.reduce_max(heat, axis=[1, 2], keepdims=True), 1e-9)
    first = served.classifier.members[0].network.backbone.features.shape
    side = first[1] if first[1] is not None else 7
    return tf.image.resize(heat[..., None], [side, side], method="bilinear")[..., 0]


def _overlay(pictures: tf.Tensor, heat: tf.Tensor) -> tf.Tensor:
    """JPEGs of the pictures under a blue-green-red veil that is as dense as the heat (string [batch])."""
    red = tf.clip_by_value(1.5 - tf.abs(4.0 * heat - 3.0), 0.0, 1.0)
    green = tf.clip_by_value(1.5 - tf.abs(4.0 * heat - 2.0), 0.0, 1.0)
    blue = tf.clip_by_value(1.5 - tf.abs(4.0 * heat - 1.0), 0.0, 1.0)
    colours = 255.0 * tf.concat([red, green, blue], axis=-1)
    opacity = _OPACITY * tf.sqrt(heat)
    mixed = tf.cast(tf.round(pictures * (1.0 - opacity) + colours * opacity), tf.uint8)
    return tf.map_fn(
        lambda one: tf.io.encode_jpeg(one, quality=_JPEG_QUALITY),
        mixed,
        fn_output_signature=tf.TensorSpec([], tf.string),
    )
