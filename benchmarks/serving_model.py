"""The model every serving benchmark asks: EfficientNet-Lite0 at 224 pixels behind `serving_default` on JPEG bytes.

python benchmarks/serving_model.py FOLDER      # writes FOLDER/1, FOLDER/2 (the same network), FOLDER/light and FOLDER/pixels
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

# As a script this folder comes first, and its serving.py would stand for the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1])

SIDE = 224


def export(folder: Path) -> None:
    """Write version 1 and 2 for the servers and a Keras file on pixels for the Flask and FastAPI rivals."""
    import keras
    import tensorflow as tf

    from components.trainer.model.backbones import registry
    from core import tfrecord
    from core.tfserving.tensors import predict_request
    from serving.engine.warmup import FILE
    from serving.protos import prediction_log_pb2

    keras.utils.set_random_seed(1)
    backbone = registry.build("efficientnet_lite0", size=SIDE, on_missing_weights="random")
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.features)
    outputs = keras.layers.Dense(1, activation="sigmoid", name="probability")(pooled)
    model = keras.Model(backbone.inputs, outputs)

    def decode(data: Any) -> Any:
        image = tf.io.decode_image(data, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        return tf.image.resize(tf.cast(image, tf.float32), [SIDE, SIDE])

    def serve(image_bytes: Any) -> Any:
        pixels = tf.map_fn(
            decode, image_bytes, fn_output_signature=tf.TensorSpec([SIDE, SIDE, 3], tf.float32)
        )
        probability = tf.reshape(model(pixels, training=False), [-1])
        return {"probability": probability, "decision": tf.cast(probability >= 0.5, tf.int64)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, [tf.TensorSpec([None], tf.string, name="image_bytes")])
    archive.write_out(str(folder / "1"), verbose=False)
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
    model.export(str(folder / "pixels" / "model.onnx"), format="onnx", verbose=False)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
