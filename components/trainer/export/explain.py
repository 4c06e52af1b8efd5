"""Where the networks looked: a heat map of what raised P(positive), and the picture with it laid over."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

from components.trainer.export.served import Served
from components.trainer.model.classifier import Member
from components.transform import images
from core import features

HEAT_MAP: Final = "heat_map"  # float32 [batch, size, size] in 0..1
OVERLAY: Final = "overlay_bytes"  # string [batch], JPEG; the suffix makes TF Serving's REST answer base64

_OPACITY: Final = 0.55
_JPEG_QUALITY: Final = 85


class Explainer:
    """The `explain` signature of a model.

    HiResCAM (Draelos and Carin, 2020): gradients of the readout's log-odds times the last feature map, summed
    over channels, what lowers the odds cut away; averaged over members. Unlike Grad-CAM it shows only places
    the network really used.
    """

    def __init__(self, served: Served) -> None:
        """Compile heat maps and class probabilities of the model's networks into one graph."""
        self._served = served
        size = served.image_size
        self._graph = served.graph.compiled(self._heat_map, tf.TensorSpec([None, size, size, 3], tf.uint8))

    def __call__(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Explain encoded pictures (string [batch]): heat map, overlay and probability."""
        size = self._served.image_size
        pictures = images.decode_batch(image_bytes, size)
        heat, class_probabilities = self._graph(pictures)
        heat = tf.image.resize(heat[..., None], [size, size], method="bicubic")[..., 0]
        heat = tf.maximum(heat, 0.0)
        heat /= tf.maximum(tf.reduce_max(heat, axis=[1, 2], keepdims=True), 1e-9)
        return {
            HEAT_MAP: heat,
            OVERLAY: _overlay(tf.cast(pictures, tf.float32), heat[..., None]),
            features.PROBABILITY: self._served.probability(class_probabilities),
        }

    def _heat_map(self, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the summed map, float32 [batch, h, w], and the class probabilities that are served."""
        classifier = self._served.graph.classifier
        heats, class_probabilities = zip(
            *(self._member(member, pictures) for member in classifier.members), strict=True
        )
        if classifier.tta == 1:
            served = tf.add_n(class_probabilities) / len(class_probabilities)
        else:
            served, _ = classifier(pictures)
        return tf.add_n(heats), served

    def _member(self, member: Member, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return one member's map with a largest value of 1, at the first member's resolution, and its softmax."""
        pixels = images.view(pictures, member.size)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pixels)
            outputs = member.network(pixels)
            class_probabilities = tf.nn.softmax(outputs.logits)
            probability = self._served.readout(class_probabilities)
            odds = tf.math.log(probability) - tf.math.log1p(-probability)
        gradients = tape.gradient(odds, outputs.maps)
        heat = tf.nn.relu(tf.reduce_sum(gradients * outputs.maps, axis=-1))
        heat /= tf.maximum(tf.reduce_max(heat, axis=[1, 2], keepdims=True), 1e-9)
        first = self._served.classifier.members[0].network.backbone.features.shape
        side = first[1] if first[1] is not None else 7
        return tf.image.resize(heat[..., None], [side, side], method="bilinear")[..., 0], class_probabilities


def _overlay(pictures: tf.Tensor, heat: tf.Tensor) -> tf.Tensor:
    """JPEGs of the pictures under a blue-green-red veil that is as dense as the heat (string [batch])."""
    red_green_blue = [tf.clip_by_value(1.5 - tf.abs(4.0 * heat - peak), 0.0, 1.0) for peak in (3.0, 2.0, 1.0)]
    colours = 255.0 * tf.concat(red_green_blue, axis=-1)
    opacity = _OPACITY * tf.sqrt(heat)
    mixed = tf.cast(tf.round(pictures * (1.0 - opacity) + colours * opacity), tf.uint8)
    return tf.map_fn(
        lambda one: tf.io.encode_jpeg(one, quality=_JPEG_QUALITY),
        mixed,
        fn_output_signature=tf.TensorSpec([], tf.string),
    )
