"""What the server is measured against: Flask as the first study built it, FastAPI, and FastAPI with ONNX Runtime.

All take a multipart upload, decode and resize with Pillow and predict. Run as
`gunicorn serving_rivals:flask_app` and `uvicorn serving_rivals:fastapi_app` with MODEL=path/to/model.keras,
`uvicorn serving_rivals:onnx_app` with RIVAL=onnx and ONNX=path/to/model.onnx.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

SIDE = 224
_kind = os.environ.get("RIVAL", "flask")
if _kind != "onnx":
    import keras

    _model = keras.models.load_model(os.environ["MODEL"])


def _pixels(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32)[None]


if _kind == "flask":
    from flask import Flask, jsonify, request

    flask_app = Flask(__name__)

    @flask_app.post("/predict")
    def predict() -> Any:
        """As the study did: `model.predict` on one image."""
        probability = float(_model.predict(_pixels(request.files["image"].read()), verbose=0)[0, 0])
        return jsonify(probability=probability, decision=int(probability >= 0.5))

elif _kind == "onnx":
    import onnxruntime
    from fastapi import FastAPI, File

    onnx_app = FastAPI()
    _options = onnxruntime.SessionOptions()
    # Two worker processes on two cores.
    _options.intra_op_num_threads = 1
    _session = onnxruntime.InferenceSession(os.environ["ONNX"], _options, providers=["CPUExecutionProvider"])
    _input = _session.get_inputs()[0].name

    @onnx_app.post("/predict")
    def predict(image: bytes = File()) -> dict[str, Any]:
        """One image a run, in FastAPI's thread pool."""
        probability = float(_session.run(None, {_input: _pixels(image)})[0][0, 0])
        return {"probability": probability, "decision": int(probability >= 0.5)}

else:
    import tensorflow as tf
    from fastapi import FastAPI, File

    fastapi_app = FastAPI()
    _call = tf.function(
        lambda x: _model(x, training=False),
        input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)],
    )

    @fastapi_app.post("/predict")
    def predict(image: bytes = File()) -> dict[str, Any]:
        """A compiled function on one image, in FastAPI's thread pool."""
        probability = float(_call(tf.constant(_pixels(image)))[0, 0])
        return {"probability": probability, "decision": int(probability >= 0.5)}
