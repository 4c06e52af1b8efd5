"""What the server is measured against: Flask as the first study built it, and the same with FastAPI.

Both take a multipart upload, decode and resize with Pillow and predict. Run as
`gunicorn serving_rivals:flask_app` and `uvicorn serving_rivals:fastapi_app` with MODEL=path/to/model.keras.
"""

from __future__ import annotations

import io
import os
from typing import Any

import keras
import numpy as np
from PIL import Image

SIDE = 224
_model = keras.models.load_model(os.environ["MODEL"])
_kind = os.environ.get("RIVAL", "flask")


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
