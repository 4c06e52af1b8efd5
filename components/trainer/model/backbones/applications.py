"""The networks of keras.applications, each with its own preprocessing in the graph.

Where a network's paper or code scales the pixels itself (EfficientNetV2, MobileNetV3, ConvNeXt) it
still does; for the others the constants of its `preprocess_input` are laid in front.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras

from components.trainer.model.backbones.backbone import Backbone, WeightsUnavailableError, blocks_by_key
from components.trainer.model.backbones.flatten import flatten

Preprocess = Callable[[keras.KerasTensor], keras.KerasTensor]


def _caffe(pixels: keras.KerasTensor) -> keras.KerasTensor:
    centred = keras.layers.Normalization(
        mean=[123.68, 116.779, 103.939], variance=[1.0, 1.0, 1.0], name="subtract_mean"
    )(pixels)
    return centred[..., ::-1]  # the network was trained on BGR


def _torch(pixels: keras.KerasTensor) -> keras.KerasTensor:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return keras.layers.Normalization(
        mean=[255 * m for m in mean], variance=[(255 * s) ** 2 for s in std], name="standardise"
    )(pixels)


def _symmetric(pixels: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(pixels)


def _own(pixels: keras.KerasTensor) -> keras.KerasTensor:
    return pixels


@dataclass(frozen=True)
class _Family:
    preprocess: Preprocess
    # Layers whose names match belong to the block that the match spells; the rest to the one before.
    block: str
    least: int  # the smallest side its strides and poolings leave anything of, px
    closes: bool = False  # whether the matching layer ends its block instead of beginning it
    unnamed: bool = False  # whether layers need fixed names, or models inside need laying out
    options: tuple[tuple[str, Any], ...] = ()


_EFFICIENTNET_V2: Final = _Family(_own, r"^(block\d|top)", 32)
_MOBILENET_V3: Final = _Family(
    _own, r"^(expanded_conv(?:_\d+)?|conv_1)(?:_|$)", 32, unnamed=True, options=(("minimalistic", False),)
)
_RESNET: Final = _Family(_caffe, r"^(conv[2-5])_", 32)
_RESNET_V2: Final = _Family(_symmetric, r"^(conv[2-5])_", 32)
_DENSENET: Final = _Family(_torch, r"^(conv[2-5])_", 32)
_VGG: Final = _Family(_caffe, r"^(block\d)_", 32)
_INCEPTION: Final = _Family(_symmetric, r"^(mixed\d+)$", 75, closes=True, unnamed=True)
_CONVNEXT: Final = _Family(_own, r"_(stage_\d)_", 32, unnamed=True)

_NETWORKS: Final[dict[str, tuple[str, _Family]]] = {
    "efficientnetv2_b0": ("EfficientNetV2B0", _EFFICIENTNET_V2),
    "efficientnetv2_b1": ("EfficientNetV2B1", _EFFICIENTNET_V2),
    "efficientnetv2_b2": ("EfficientNetV2B2", _EFFICIENTNET_V2),
    "efficientnetv2_b3": ("EfficientNetV2B3", _EFFICIENTNET_V2),
    "efficientnetv2_s": ("EfficientNetV2S", _EFFICIENTNET_V2),
    "mobilenetv3_small": ("MobileNetV3Small", _MOBILENET_V3),
    "mobilenetv3_large": ("MobileNetV3Large", _MOBILENET_V3),
    "resnet50": ("ResNet50", _RESNET),
    "resnet101": ("ResNet101", _RESNET),
    "resnet50v2": ("ResNet50V2", _RESNET_V2),
    "resnet101v2": ("ResNet101V2", _RESNET_V2),
    "densenet121": ("DenseNet121", _DENSENET),
    "densenet169": ("DenseNet169", _DENSENET),
    "vgg16": ("VGG16", _VGG),
    "vgg19": ("VGG19", _VGG),
    "inception_v3": ("InceptionV3", _INCEPTION),
    "convnext_tiny": ("ConvNeXtTiny", _CONVNEXT),
}
NAMES: Final = tuple(_NETWORKS)
LEAST: Final = {name: family.least for name, (_, family) in _NETWORKS.items()}  # side of a picture, px


def build(name: str, size: int | None, imagenet: bool) -> Backbone:
    """Build the network `name`; `size` None leaves height and width open.

    Raises WeightsUnavailableError where ImageNet's weights cannot be downloaded (Keras keeps them in
    ~/.keras/models once they are).
    """
    application, family = _NETWORKS[name]
    inputs = keras.Input((size, size, 3), name="image")
    model = _network(application, family, inputs, imagenet)
    blocks, ends = blocks_by_key(model, re.compile(family.block), closes=family.closes)
    return Backbone(
        name=name,
        inputs=model.input,
        features=model.output,
        expects="rgb",
        blocks=blocks,
        taps=ends,
        weights=f"imagenet (keras.applications.{application})" if imagenet else "none",
    )


def _network(application: str, family: _Family, inputs: keras.KerasTensor, imagenet: bool) -> keras.Model:
    constructor = getattr(keras.applications, application)
    try:
        model = constructor(
            include_top=False,
            weights="imagenet" if imagenet else None,
            input_tensor=family.preprocess(inputs),
            **dict(family.options),
        )
    except Exception as error:
        # keras.utils.get_file raises a bare Exception when the network refuses.
        if not imagenet or "URL fetch failure" not in str(error):
            raise
        raise WeightsUnavailableError(f"ImageNet weights of {application}: {error}") from error
    return flatten(model) if family.unnamed else model
