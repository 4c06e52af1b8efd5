"""Writes a released model with another calibration, operating point and zones; what it computes before is untouched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import tensorflow as tf

from core import features
from core.hashing import FACTS
from core.measures.operating_point import Zones
from core.measures.recalibration import Recalibration

# The on-device model holds the old calibration: a device without an answer is better than one with another answer.
_LEFT_OUT: Final = "litert"
_EDGE: Final = 1e-7


def write(
    model: Path,
    folder: Path,
    *,
    recalibration: Recalibration,
    threshold: float,
    zones: Zones,
    version: str,
    facts: dict[str, Any],
) -> None:
    """Write the SavedModel ``model`` into ``folder``, which must not exist, with its answers recalibrated.

    Every signature of the model is called as it is, graph and variables unchanged; its stated probability is mapped,
    and decision, zone, threshold and version (a decimal string) follow. ``threshold`` and ``zones`` are of the
    recalibrated probability; ``facts`` are what changes in `assets.extra/melanosizer.json`.
    """

    def answer(probability: tf.Tensor) -> dict[str, tf.Tensor]:
        before = tf.clip_by_value(probability, _EDGE, 1.0 - _EDGE)
        odds = tf.math.log(before) - tf.math.log1p(-before)
        mapped = tf.sigmoid(recalibration.scale * odds + recalibration.shift)
        return stated(mapped, threshold, zones, version)

    loaded = tf.saved_model.load(str(model))
    module = tf.Module()
    module.base = loaded
    signatures = {name: _wrapped(signature, answer) for name, signature in loaded.signatures.items()}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    shutil.copytree(
        model / "assets.extra",
        folder / "assets.extra",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(_LEFT_OUT),
    )
    kept = json.loads((model / FACTS).read_text(encoding="utf-8"))
    text = json.dumps({**kept, **facts}, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")


def stated(probability: tf.Tensor, threshold: float, zones: Zones, version: str) -> dict[str, tf.Tensor]:
    """Return what a version states of calibrated probabilities (float32 [batch]), by the names of its outputs."""
    ones = tf.ones_like(probability)
    upper = tf.where(probability >= zones.refer_from, "refer", "review")
    zone = tf.where(probability < zones.low_below, "low", upper)
    return {
        features.PROBABILITY: probability,
        features.DECISION: tf.cast(probability >= threshold, tf.int64),
        features.THRESHOLD: ones * threshold,
        features.ZONE: zone,
        features.LOW_BELOW: ones * zones.low_below,
        features.REFER_FROM: ones * zones.refer_from,
        features.MODEL_VERSION: tf.fill(tf.shape(probability), version),
    }


def _wrapped(signature: Any, answer: Callable[[tf.Tensor], dict[str, tf.Tensor]]) -> Any:
    """Return a function of the same inputs as ``signature`` whose probability is mapped, and what follows from it."""
    specs = signature.structured_input_signature[1]

    @tf.function
    def called(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = signature(**inputs)
        if features.PROBABILITY not in outputs:
            return outputs
        changed = answer(outputs[features.PROBABILITY])
        return {name: tf.cast(changed.get(name, value), value.dtype) for name, value in outputs.items()}

    return called.get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
    )
