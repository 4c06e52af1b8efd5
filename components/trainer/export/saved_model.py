"""Writes the SavedModel: signatures, what was fitted, and warm-up requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.trainer.data.records import Split
from components.trainer.export import litert
from components.trainer.export.explain import Explainer
from components.trainer.export.served import Served
from components.trainer.model.backbones import h5_file
from core import features
from core.hashing import FACTS, WEIGHTS
from core.measures.rates import Scores

EXAMPLES: Final = "examples"  # input of serving_examples
WITH_METADATA: Final = "serving_with_metadata"  # only where head.metadata is on
LITERT: Final = "litert"  # folder of what the device loads
WARMUP: Final = "tf_serving_warmup_requests"
_WARMUP_BATCHES: Final = (1, 8)


def write(served: Served, folder: Path, *, metadata: dict[str, Any]) -> None:
    """Writes a self-contained SavedModel.

    ExportArchive, because what `tf.saved_model.save` makes of a Keras 3 model fails in TensorFlow Serving's
    loader (tensorflow#72963). `folder` is replaced; `metadata` are assets.extra/melanosizer.json, see
    schemas/model.schema.json.
    """
    archive = keras.export.ExportArchive()
    explainer = Explainer(served)
    # Wrapped, because an endpoint's inputs are named as its function's parameters are.
    archive.add_endpoint(
        "serving_default", lambda image_bytes: served.answer(image_bytes), [_strings(features.IMAGE_BYTES)]
    )
    archive.add_endpoint("serving_examples", lambda examples: served.examples(examples), [_strings(EXAMPLES)])
    archive.add_endpoint(
        "explain", lambda image_bytes: explainer(image_bytes), [_strings(features.IMAGE_BYTES)]
    )
    if served.classifier.metadata is not None:
        archive.add_endpoint(
            WITH_METADATA,
            lambda image_bytes, age_approx, sex, anatom_site: served.with_metadata(
                image_bytes, age_approx, sex, anatom_site
            ),
            [
                _strings(features.IMAGE_BYTES),
                tf.TensorSpec([None], tf.float32, name=features.AGE),
                _strings(features.SEX),
                _strings(features.SITE),
            ],
        )
    archive.write_out(str(folder), verbose=False)
    (folder / FACTS).parent.mkdir(exist_ok=True)
    text = json.dumps(metadata, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")
    # What SavedModel keeps of Keras's weights has no layer names: a later training reads them here.
    h5_file.write(folder / WEIGHTS, [member.network.model for member in served.classifier.members])
    pictures = warmup_pictures()
    batches = [[pictures[i % len(pictures)] for i in range(size)] for size in _WARMUP_BATCHES]
    requests = [("serving_default", batch) for batch in batches]
    # A device asks for a heat map now and then, and would wait seconds for the first one.
    requests.append(("explain", pictures[:1]))
    write_warmup((folder / FACTS).with_name(WARMUP), requests, model=features.MODEL_NAME)


def write_litert(
    served: Served,
    folder: Path,
    kinds: tuple[litert.Kind, ...],
    *,
    representative: litert.Pictures,
    evaluation: Split,
    reference: Scores,
) -> tuple[list[dict[str, object]], tuple[str, ...]]:
    """Converts the whole answer for the device into assets.extra/litert of a SavedModel folder.

    Returns:
        The figures of every kind, of which the first that keeps parity on eval with the SavedModel is
        written; and what is to say of the kinds that could not be converted.
    """

    def answer(pictures: tf.Tensor) -> tf.Tensor:
        class_probabilities, _ = served.graph.classifier(pictures, litert.view)
        return served.probability(class_probabilities)

    exports = litert.export(
        answer,
        served.image_size,
        representative=representative,
        pictures=np.asarray(evaluation.pictures),
        targets=evaluation.targets,
        reference=reference,
        threshold=served.point.threshold,
        kinds=kinds,
    )
    if exports.kept is not None:
        litert.write(
            folder / "assets.extra" / LITERT,
            exports.kept,
            version=served.version,
            threshold=served.point.threshold,
            low_below=served.zones.low_below,
            refer_from=served.zones.refer_from,
        )
    figures = [{**one.as_dict(), "complaints": one.parity.complaints()} for one in exports.measured]
    return figures, exports.failures


def _strings(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name=name)


def write_warmup(path: Path, requests: Sequence[tuple[str, Sequence[bytes]]], *, model: str) -> None:
    """Write warm-up requests (a signature and a batch of encoded pictures each) as TF Serving reads them.

    The file is a TFRecord of PredictionLog; `model` is the model's name.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, batch in requests:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            request.inputs[features.IMAGE_BYTES].CopyFrom(
                tf.make_tensor_proto(list(batch), tf.string, [len(batch)])
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


# Drawn pictures that warm a server up: what is pushed carries no patient's.
# Width and height, px: HAM10000's, those a device sends, and the ISIC Archive's squares.
_SIZES: Final = ((600, 450), (1000, 750), (1024, 1024))
_GRAIN: Final = 32  # blobs along the longer side: as smooth as skin, and as small a file
_SKIN: Final = (205.0, 160.0, 140.0)


def warmup_pictures() -> list[bytes]:
    """JPEG files, the same in every call, one each of the sizes that cameras and archives have."""
    return [_warmup_picture(number, *size) for number, size in enumerate(_SIZES)]


def _warmup_picture(seed: int, width: int, height: int) -> bytes:
    """A dark disc on noise in the colour of skin."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(0.0, 12.0, (_GRAIN * height // width, _GRAIN, 3)).astype(np.float32)
    skin = tf.image.resize(noise, [height, width]).numpy() + np.array(_SKIN, np.float32)
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    skin[inside] *= 0.5
    return bytes(tf.io.encode_jpeg(np.clip(skin, 0, 255).astype(np.uint8), quality=92).numpy())
