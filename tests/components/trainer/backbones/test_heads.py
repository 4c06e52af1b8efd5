from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from components.trainer.model.backbones import registry
from components.trainer.model.network import embedding
from components.trainer.settings import HeadConfig


def _head(features: keras.KerasTensor, outputs: int, dropout: float = 0.0, **head: Any) -> keras.KerasTensor:
    """Return the logits of a head of its own layers."""
    x = embedding(HeadConfig(dropout=dropout, **head), features)
    return keras.layers.Dense(outputs, dtype="float32", name="head_logits")(x)


@pytest.mark.parametrize(
    ("name", "size", "units", "total"),
    # The studies' own counts: dense layers and the one output included.
    [("base_cnn", 256, (4096,), 152_175_393), ("deeper_cnn", 224, (4096, 4096), 134_264_641)],
)
def test_the_studies_networks_have_exactly_their_parameters(
    name: str, size: int, units: tuple[int, ...], total: int
) -> None:
    # Variables made in a stateless scope have a shape but no memory: 600 MB are not needed to count.
    with keras.StatelessScope():
        backbone = registry.build(name, size=size, weights="none")
        logits = _head(backbone.features, 1, layout="flatten_dense", units=units)
        network = keras.Model(backbone.inputs, logits)
        assert network.count_params() == total


def test_logits_of_the_average_equal_the_averaged_logits() -> None:
    features = keras.Input((3, 4, 8))
    network = keras.Model(features, _head(features, 2, layout="conv1x1", units=(6, 5)))
    assert network.output.dtype == "float32"
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 8)).astype(np.float32)

    per_place = x
    for layer in ("head_conv1", "head_conv2"):
        per_place = network.get_layer(layer)(per_place)
    kernel, bias = network.get_layer("head_logits").get_weights()
    averaged = (np.asarray(per_place) @ kernel + bias).mean((1, 2))

    np.testing.assert_allclose(np.asarray(network(x)), averaged, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", get_args(HeadConfig.model_fields["layout"].annotation))
def test_every_layer_of_a_head_says_so_in_its_name_and_drops_out(kind: str) -> None:
    features = keras.Input((4, 4, 8))
    network = keras.Model(features, _head(features, 3, 0.5, layout=kind, units=(16,)))
    assert all(layer.name.startswith("head_") for layer in network.layers[1:])
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in network.layers) == 2
    assert network.output_shape == (None, 3)


def test_an_unknown_head_lists_the_valid_ones() -> None:
    with pytest.raises(ValidationError, match="should be 'pooled', 'flatten_dense' or 'conv1x1'"):
        _head(keras.Input((4, 4, 8)), 1, layout="conv")


def test_flattening_needs_a_fixed_size() -> None:
    with pytest.raises(ValueError, match="the image size must be fixed"):
        _head(keras.Input((None, None, 8)), 1, layout="flatten_dense")
