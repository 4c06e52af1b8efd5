from __future__ import annotations

import hashlib
import http.server
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from components.trainer.model.backbones import h5_file, registry, weights
from components.trainer.model.backbones.backbone import Backbone, WeightsFileError, WeightsUnavailableError
from components.trainer.model.backbones.flatten import leaves
from components.trainer.model.network import embedding
from components.trainer.settings import HeadConfig


def _classifier(backbone: Backbone, outputs: int, *units: int) -> keras.Model:
    x = embedding(HeadConfig(units=units, dropout=0.0), backbone.features)
    return keras.Model(backbone.inputs, keras.layers.Dense(outputs, name="head_logits")(x))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A whole classifier, as a run would leave it."""
    keras.utils.set_random_seed(5)
    return _classifier(registry.build("tiny_cnn", size=64, weights="none"), 3, 8)


@pytest.fixture(scope="module")
def version(trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pushed version with the Keras weights in its extra assets."""
    folder = tmp_path_factory.mktemp("version")
    (folder / "assets.extra").mkdir()
    trained.save_weights(folder / "assets.extra" / "model.weights.h5")
    return folder


def _same(model: keras.Model, trained: keras.Model) -> bool:
    return all(
        np.array_equal(a, b)
        for layer in model.layers
        for a, b in zip(layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True)
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pushed_version_warms_the_body_of_another_size(trained: keras.Model, version: Path) -> None:
    backbone = registry.build("tiny_cnn", size=96, weights=f"pushed:{version}")
    assert _same(backbone.model(), trained)
    assert backbone.weights.startswith(f"pushed:{version} (SHA-256 ")


def test_a_file_is_read_in_both_of_keras_formats(trained: keras.Model, version: Path, tmp_path: Path) -> None:
    trained.save(tmp_path / "whole.keras")
    for path in (tmp_path / "whole.keras", version / "assets.extra" / "model.weights.h5"):
        backbone = registry.build("tiny_cnn", size=64, weights=f"{path}#sha256={_sha256(path)}")
        assert _same(backbone.model(), trained)


def test_optimizer_slots_in_a_file_are_not_taken_for_layers(tmp_path: Path) -> None:
    model = _classifier(registry.build("tiny_cnn", size=32, weights="none"), 1)
    model.compile("adam", "mse")
    model.train_on_batch(np.zeros((2, 32, 32, 3), np.float32), np.ones((2, 1), np.float32))
    model.save(tmp_path / "compiled.keras")
    assert _same(registry.build("tiny_cnn", size=32, weights=str(tmp_path / "compiled.keras")).model(), model)


@pytest.mark.parametrize(
    "application", [pytest.param("ConvNeXtTiny", marks=pytest.mark.slow), "MobileNetV3Small"]
)
def test_the_legacy_files_of_keras_applications_load_by_order(application: str, tmp_path: Path) -> None:
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    keras.utils.set_random_seed(3)
    pixels = keras.Input((32, 32, 3))
    source = getattr(keras.applications, application)(include_top=False, weights=None, input_tensor=pixels)
    numbers = np.random.default_rng(1)
    for leaf in leaves(source):  # so that no two layers hold the same numbers
        leaf.set_weights([numbers.uniform(0.05, 0.15, w.shape) for w in leaf.weights])
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        save_weights_to_hdf5_group(file, source)

    name = {"ConvNeXtTiny": "convnext_tiny", "MobileNetV3Small": "mobilenetv3_small"}[application]
    loaded = registry.build(name, size=32, weights=str(tmp_path / "notop.h5")).model()

    image = np.random.default_rng(2).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded(image), source(image), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("imagnet", "no such file; valid: imagenet, none, pushed:"),
        ("pushed:/nowhere", r"model.weights.h5 is not there; name the directory of a pushed version"),
        ("http://example.org/a.h5#sha256=" + "0" * 64, "only https:// is downloaded"),
        ("https://example.org/a.h5", "a URL needs #sha256="),
        ("a.h5#sha256=12", "sha256= and 64 hex digits"),
        ("a.h5#md5=" + "0" * 64, "sha256= and 64 hex digits"),
    ],
)
def test_a_mistake_in_the_configuration_says_what_is_valid(spec: str, says: str) -> None:
    with pytest.raises(WeightsFileError, match=says):
        registry.build("tiny_cnn", size=32, weights=spec)


def test_another_hash_another_network_or_a_broken_file_is_refused(version: Path, tmp_path: Path) -> None:
    path = version / "assets.extra" / "model.weights.h5"
    with pytest.raises(WeightsFileError, match=f"SHA-256 is {_sha256(path)}, the configuration says 0000"):
        registry.build("tiny_cnn", size=32, weights=f"{path}#sha256={'0' * 64}")
    with pytest.raises(WeightsFileError, match="for vgg16: 13 of 13 layers are not in the file"):
        registry.build("vgg16", size=32, weights=str(path))
    for name in ("cut.h5", "cut.keras"):
        (tmp_path / name).write_bytes(path.read_bytes()[:1000])
        with pytest.raises(WeightsFileError, match="damaged"):
            registry.build("tiny_cnn", size=32, weights=str(tmp_path / name))
    (tmp_path / "weights.bin").write_bytes(b"?")
    with pytest.raises(WeightsFileError, match=r"neither in \.keras, \.h5 nor \.pth"):
        registry.build("tiny_cnn", size=32, weights=str(tmp_path / "weights.bin"))
    (tmp_path / "a.pth").write_bytes(b"?")
    with pytest.raises(WeightsFileError, match="are read for efficientnet_lite0, "):
        registry.build("tiny_cnn", size=32, weights=str(tmp_path / "a.pth"))


def test_a_member_of_an_ensemble_is_chosen_and_the_last_is_the_default(tmp_path: Path) -> None:
    members = [registry.build("tiny_cnn", size=32, weights="none").model() for _ in range(2)]
    (tmp_path / "assets.extra").mkdir()
    h5_file.write(tmp_path / "assets.extra" / "model.weights.h5", members)
    for spec, wanted in (("", 1), ("#member=0", 0), ("#member=1", 1)):
        found = registry.build("tiny_cnn", size=64, weights=f"pushed:{tmp_path}{spec}").model()
        assert _same(found, members[wanted])
        assert not _same(found, members[1 - wanted])
    with pytest.raises(WeightsFileError, match="member=2: the file holds members 0 to 1"):
        registry.build("tiny_cnn", size=32, weights=f"pushed:{tmp_path}#member=2")
    with pytest.raises(WeightsFileError, match="stands member= and a number"):
        registry.build("tiny_cnn", size=32, weights=f"pushed:{tmp_path}#member=last")


def test_a_layer_of_another_shape_is_named(trained: keras.Model, version: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.weights.h5"
    path.write_bytes((version / "assets.extra" / "model.weights.h5").read_bytes())
    with h5py.File(path, "a") as file:
        entry = file["layers/conv2d/vars"]
        del entry["0"]
        entry["0"] = np.zeros((3, 3, 3, 7), np.float32)
    with pytest.raises(
        WeightsFileError, match=r"layer block1_conv has shapes \[\(3, 3, 3, 7\)\] in the file"
    ):
        registry.build("tiny_cnn", size=64, weights=str(path))


class _Response(io.BytesIO):
    def __enter__(self) -> _Response:
        return self


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[bytes | OSError], list[str]]:
    """Answers every https request with the given bytes or error; returns the list of what was asked."""
    monkeypatch.setenv("MELANOSIZER_CACHE", str(tmp_path / "cache"))
    asked: list[str] = []

    def serve(answer: bytes | OSError) -> list[str]:
        class Opener:
            def open(self, url: str, timeout: float) -> _Response:
                asked.append(url)
                if isinstance(answer, OSError):
                    raise answer
                return _Response(answer)

        monkeypatch.setattr(weights, "_opener", Opener)
        return asked

    return serve


def test_a_download_is_verified_and_kept(
    version: Path, trained: keras.Model, downloads: Callable[[bytes], list[str]]
) -> None:
    path = version / "assets.extra" / "model.weights.h5"
    spec = f"https://example.org/model.weights.h5#sha256={_sha256(path)}"
    asked = downloads(path.read_bytes())
    for _ in range(2):
        assert _same(registry.build("tiny_cnn", size=64, weights=spec).model(), trained)
    assert asked == ["https://example.org/model.weights.h5"]  # once: then it comes from the cache


def test_a_download_of_other_bytes_leaves_nothing(downloads: Callable[[bytes], list[str]]) -> None:
    downloads(b"something else")
    with pytest.raises(WeightsFileError, match=r"SHA-256 is .*, the configuration says 0000"):
        registry.build("tiny_cnn", size=32, weights=f"https://example.org/a.h5#sha256={'0' * 64}")
    assert list(weights.cache_folder().iterdir()) == []


def test_a_network_that_refuses_is_said_so(
    downloads: Callable[[OSError], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    downloads(OSError("no route to host"))
    spec = f"https://example.org/a.h5#sha256={'0' * 64}"
    with pytest.raises(WeightsUnavailableError, match=r"cannot be downloaded here \(no route to host\)"):
        registry.build("tiny_cnn", size=32, weights=spec)
    backbone = registry.build("tiny_cnn", size=32, weights=spec, on_missing_weights="random")
    assert backbone.weights == f"random, for want of {spec}"


@pytest.fixture
def plain_http() -> Iterator[str]:
    """A server without TLS: what a redirect must not lead to."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_downloader_speaks_nothing_but_https(plain_http: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for url in (plain_http, (tmp_path / "secret").as_uri()):
        with pytest.raises(OSError, match="unknown url type"):
            weights._opener().open(url, timeout=5)
