"""A backbone with a head: plain pixels in, logits and what else is wanted of them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.metadata import Metadata
from components.trainer.model import fast_layers, folding, mixstyle
from components.trainer.model.backbones import registry
from components.trainer.model.backbones.backbone import Backbone
from components.trainer.settings import HeadConfig

Weights = list[npt.NDArray[np.float32]]

_METADATA_UNITS = 16  # few: they help less than the picture


def rng_variables(model: keras.Model) -> list[Any]:
    """The states of random layers, which are variables but no weights: a resumed training draws on from them."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


@dataclass(frozen=True)
class Moments:
    """Channel mean and deviation of the training split, as Transform computed them (0..255)."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class NetworkOutputs(NamedTuple):
    """What a network says of a batch, float32."""

    logits: tf.Tensor  # [batch, classes]
    pooled: tf.Tensor  # [batch, channels], what the head looks at
    levels: tf.Tensor  # [batch, channels], pooled middle layers: texture and colour, little of the diagnosis
    maps: tf.Tensor  # [batch, h, w, channels], the last feature map


@dataclass(frozen=True)
class Network:
    """One trainable network."""

    model: keras.Model  # float32 [batch, size, size, 3] to the four outputs of `NetworkOutputs`
    backbone: Backbone  # its layers are the model's own
    moments: Moments | None  # applied before the model if the backbone wants standardised pixels
    metadata: Metadata | None = None  # how the model's second input is made, if it has one

    def __call__(
        self, pixels: tf.Tensor, training: bool = False, metadata_features: tf.Tensor | None = None
    ) -> NetworkOutputs:
        """What the network says of float pixels 0..255 and, if it has such an input, of float32 [batch, width]."""
        given = pixels
        if self.moments is not None:
            given = (pixels - tf.constant(self.moments.mean)) / tf.constant(self.moments.std)
        if self.metadata is not None:
            if metadata_features is None:  # nothing known is a vector of zeros, as metadata.py makes it
                metadata_features = tf.zeros([tf.shape(pixels)[0], self.metadata.width])
            given = [given, metadata_features]
        with mixstyle.training(training):
            seen = self.model(given, training=training)
        # They are bfloat16 in mixed precision.
        return NetworkOutputs(*(tf.cast(one, tf.float32) for one in seen))

    def folded(self) -> Network:
        """Return a copy for inference: batch-norm folded into the convolutions, equal up to rounding."""
        return replace(self, model=folding.folded(self.model))

    def weights(self) -> Weights:
        """A copy of every weight, in the model's order."""
        return [np.array(value) for value in self.model.get_weights()]

    def statistics(self) -> list[Any]:
        """The moving means and variances that batch-norm layers gather where they learn."""
        return [
            variable
            for layer in self.model.layers
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
            for variable in layer.non_trainable_variables
        ]

    def split_variables(self) -> tuple[list[Any], list[Any]]:
        """The trainable variables of the backbone and those of the head."""
        body = {name for block in self.backbone.blocks for name in block}
        backbone: list[Any] = []
        head: list[Any] = []
        for layer in self.model.layers:
            (backbone if layer.name in body else head).extend(layer.trainable_variables)
        return backbone, head


def build(
    config: TrainerConfig,
    *,
    size: int | None,
    classes: int,
    moments: Moments,
    metadata: Metadata | None = None,
    weights: str | None = None,
    taps: int = 0,
    fast: bool = True,
) -> Network:
    """A fresh network with a logit for each of the `classes`.

    A `size` of None leaves the input's open, so that one network serves every stage. `weights` replace those of the
    configuration: "none" if they are set afterwards. Of the last `taps` the pooled outputs are the features; 0 = of
    the last map only. `fast` is for training: folded convolutions with faster gradients and the configured precision,
    which are left out of what is exported.
    """
    with _policy(config.precision if fast else "float32"):
        backbone = registry.build(
            config.backbone,
            size=size,
            weights=weights or config.weights,
            on_missing_weights=config.on_missing_weights,
        )
        model = _with_head(backbone, config, classes, metadata, taps)
        if fast:
            fast_layers.use(model, fold=config.batch_norm == "frozen")
            if config.augmentation.mixstyle:
                mixstyle.use(model, backbone.taps[:2], config.augmentation.mixstyle)
        return Network(model, backbone, moments if backbone.expects == "standardised" else None, metadata)


@contextmanager
def _policy(name: str) -> Iterator[None]:
    """Layers made inside compute by this policy; their weights are float32 in any case."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _with_head(
    backbone: Backbone, config: TrainerConfig, classes: int, metadata: Metadata | None, taps: int
) -> keras.Model:
    """Put the configured head on a backbone."""
    core = backbone.model()
    maps = [core.get_layer(name).output for name in backbone.taps[-taps:]] if taps else [backbone.features]
    pooled = _pooled(maps, "pool", "levels")
    head = config.head
    if head.layout == "pooled" and not head.units:
        x = pooled
        if head.hidden:
            x = keras.layers.Dense(head.hidden, activation="relu", name="head_hidden")(x)
        x = keras.layers.Dropout(head.dropout, seed=config.seed, name="head_dropout")(x)
    else:
        x = embedding(head, backbone.features)
    inputs = [backbone.inputs]
    if metadata is not None:
        inputs.append(keras.Input((metadata.width,), name="metadata"))
        branch = keras.layers.Dense(_METADATA_UNITS, activation="relu", name="head_metadata")(inputs[1])
        x = keras.layers.Concatenate(name="head_all")([x, branch])
    # Small initial logits: the first steps must not shake a pretrained backbone.
    logits = keras.layers.Dense(
        1 if head.kind == "sigmoid" else classes,
        dtype="float32",  # in mixed precision too
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=config.seed),
        name="head_logits",
    )(x)
    if head.kind == "sigmoid":
        # The softmax of (0, z) is the logistic function of z: everything after works on pairs.
        logits = keras.layers.Concatenate(name="head_pair")([0.0 * logits, logits])
    # The third to fifth tap from the top; of short networks whatever lies below the top.
    middle = [core.get_layer(name).output for name in backbone.taps[-5:-2] or backbone.taps[:1]]
    outputs = [logits, pooled, _pooled(middle, "pool_level", "middle_levels"), backbone.features]
    return keras.Model(inputs if metadata is not None else backbone.inputs, outputs, name="melanosizer")


def embedding(head: HeadConfig, features: keras.KerasTensor) -> keras.KerasTensor:
    """Return the embedding, float [batch, units], of a head of its own layers; each has dropout before it.

    pooled: average over height and width, then dense layers of `units`; flatten_dense: every position, which fixes
    the picture's size, then dense layers; conv1x1: 1x1 convolutions, then the average. The logits are linear and so
    is the average: logits of the average equal averaged logits. Names begin with `head_`, to tell body from head.

    Raises:
        ValueError: flatten_dense has no fixed size.
    """
    x = features
    if head.layout == "flatten_dense":
        if None in features.shape[1:3]:
            raise ValueError("head flatten_dense: the image size must be fixed; give the backbone a size")
        x = keras.layers.Flatten(name="head_flatten")(x)
    elif head.layout == "pooled":
        x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    for number, width in enumerate(head.units, start=1):
        x = _drop(x, head.dropout, f"head_dropout{number}")
        if head.layout == "conv1x1":
            x = keras.layers.Conv2D(width, 1, activation="relu", name=f"head_conv{number}")(x)
        else:
            x = keras.layers.Dense(width, activation="relu", name=f"head_dense{number}")(x)
    if head.layout == "conv1x1":
        x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    return _drop(x, head.dropout, "head_dropout")


def _drop(x: keras.KerasTensor, dropout: float, name: str) -> keras.KerasTensor:
    return keras.layers.Dropout(dropout, name=name)(x) if dropout else x


def _pooled(maps: Sequence[keras.KerasTensor], name: str, together: str) -> keras.KerasTensor:
    """The averages of feature maps over height and width, one behind the other."""
    averages = [keras.layers.GlobalAveragePooling2D(name=f"{name}_{i}")(one) for i, one in enumerate(maps)]
    return keras.layers.Concatenate(name=together)(averages) if len(averages) > 1 else averages[0]


def freeze(network: Network, config: TrainerConfig, stage: int) -> None:
    """Sets which layers learn in a stage, by strategy and by `batch_norm`."""
    blocks = network.backbone.blocks
    learning = {
        "from_scratch": len(blocks),
        "fine_tune": len(blocks),
        "frozen": 0,
        "last_blocks": min(config.unfreeze, len(blocks)),
        # The head alone first, then one block more a stage, the last stage all of them.
        "gradual": len(blocks) if stage == len(config.stages) - 1 else min(stage, len(blocks)),
    }[config.strategy]
    frozen = {name for block in blocks[: len(blocks) - learning] for name in block}
    for layer in network.model.layers:
        norm = isinstance(layer, keras.layers.BatchNormalization) and config.batch_norm == "frozen"
        layer.trainable = not (norm or layer.name in frozen)
