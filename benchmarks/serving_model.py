"""The model every serving benchmark asks: EfficientNet-Lite0 at 224 pixels behind `serving_default` on JPEG bytes.

python benchmarks/serving_model.py FOLDER

Writes FOLDER/1 as the Trainer exports it (folded, weights constants), FOLDER/versions/2 (the same), FOLDER/unfolded/1
as it exported before, FOLDER/light (a graph that costs nothing) and FOLDER/pixels (Keras and ONNX files for the rivals).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# As a script this folder comes first, and its serving.py would stand for the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1])

SIDE = 224


def absent_for_onnx() -> list[str]:
    """What the contestant with ONNX Runtime needs of the group `benchmarks`, and what is not installed."""
    return [name for name in ("onnx", "tf2onnx", "onnxruntime") if find_spec(name) is None]


def export(folder: Path) -> None:
    """Write every model."""
    import keras
    import tensorflow as tf

    from components.trainer.model import folding
    from components.trainer.model.backbones import registry
    from components.trainer.model.classifier import constant_graph
    from components.transform import images
    from core import tfrecord
    from core.tfserving.tensors import predict_request
    from serving.engine.warmup import FILE
    from serving.protos import prediction_log_pb2

    keras.utils.set_random_seed(1)
    backbone = registry.build("efficientnet_lite0", size=SIDE, on_missing_weights="random")
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.features)
    outputs = keras.layers.Dense(1, activation="sigmoid", name="probability")(pooled)
    model = keras.Model(backbone.inputs, outputs)

    folded = folding.folded(model)
    pixels = tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8)
    graph = constant_graph(lambda pictures: (folded(images.view(pictures, SIDE), training=False),), pixels)
    networks: dict[str, Callable[[Any], Any]] = {
        "1": lambda pictures: graph(pictures)[0],
        "unfolded/1": lambda pictures: model(images.view(pictures, SIDE), training=False),
    }

    def answering(network: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
        def serve(image_bytes: Any) -> dict[str, Any]:
            probability = tf.reshape(network(images.decode_batch(image_bytes, SIDE)), [-1])
            return {"probability": probability, "decision": tf.cast(probability >= 0.5, tf.int64)}

        return serve

    for name, network in networks.items():
        archive = keras.export.ExportArchive()
        strings = tf.TensorSpec([None], tf.string, name="image_bytes")
        archive.add_endpoint("serving_default", answering(network), [strings])
        archive.write_out(str(folder / name), verbose=False)
    # Warm-up records, as every released model has them.
    log = prediction_log_pb2.PredictionLog()
    noise = tf.io.encode_jpeg(
        tf.random.stateless_uniform([SIDE, SIDE, 3], [1, 2], 0, 255, tf.int32).numpy().astype("uint8")
    )
    request = predict_request("lite0", {"image_bytes": [noise.numpy()] * 4})
    log.predict_log.request.MergeFromString(request.SerializeToString())
    (folder / "1" / FILE).parent.mkdir()
    tfrecord.write(folder / "1" / FILE, [log.SerializeToString()] * 4)
    shutil.copytree(folder / "1", folder / "versions" / "2")
    # A graph that costs nothing: what is left is the server.
    light = tf.Module()
    light.serve = tf.function(
        lambda image_bytes: {"probability": tf.cast(tf.strings.length(image_bytes), tf.float32)},
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")],
    )
    tf.saved_model.save(light, str(folder / "light" / "1"), {"serving_default": light.serve})
    (folder / "pixels").mkdir()
    model.save(folder / "pixels" / "model.keras")
    if not absent_for_onnx():
        model.export(str(folder / "pixels" / "model.onnx"), format="onnx", verbose=False)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
