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
from core.measures import operating_point
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
    """Write ``model`` into ``folder`` with its answers recalibrated.

    Every signature of the model is called as it is, graph and variables unchanged; its stated probability is mapped,
    and decision, zone, threshold and version follow.

    Args:
        model: the SavedModel of the released version.
        folder: where to; must not exist.
        recalibration: of the stated probability.
        threshold: of the recalibrated probability.
        zones: of the recalibrated probability.
        version: the new version, a decimal string.
        facts: what changes in `assets.extra/melanosizer.json`.
    """
    loaded = tf.saved_model.load(str(model))
    answer = _Answers(recalibration, threshold, zones, version)
    module = tf.Module()
    module.base = loaded
    signatures = {name: _wrapped(signature, answer) for name, signature in loaded.signatures.items()}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    shutil.copytree(
        model / "assets.extra",
        folder / "assets.extra",
        dirs_exist_ok=True,
        ignore=lambda _, names: [name for name in names if name == _LEFT_OUT],
    )
    kept = json.loads((model / FACTS).read_text(encoding="utf-8"))
    text = json.dumps({**kept, **facts}, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")


class _Answers:
    """Maps the outputs of a signature."""

    def __init__(self, recalibration: Recalibration, threshold: float, zones: Zones, version: str) -> None:
        self._map = recalibration
        self._threshold, self._zones, self._version = threshold, zones, version

    def __call__(self, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        if features.PROBABILITY not in outputs:
            return outputs
        stated = tf.clip_by_value(outputs[features.PROBABILITY], _EDGE, 1.0 - _EDGE)
        odds = tf.math.log(stated) - tf.math.log1p(-stated)
        probability = tf.sigmoid(self._map.scale * odds + self._map.shift)
        ones = tf.ones_like(probability)
        zone = tf.where(
            probability < self._zones.low_below,
            operating_point.LOW,
            tf.where(probability >= self._zones.refer_from, operating_point.REFER, operating_point.REVIEW),
        )
        changed = {
            features.PROBABILITY: probability,
            features.THRESHOLD: ones * self._threshold,
            features.ZONE: zone,
            features.LOW_BELOW: ones * self._zones.low_below,
            features.REFER_FROM: ones * self._zones.refer_from,
            features.MODEL_VERSION: tf.fill(tf.shape(probability), self._version),
        }
        if features.DECISION in outputs:
            decided = probability >= self._threshold
            changed[features.DECISION] = tf.cast(decided, outputs[features.DECISION].dtype)
        return {name: changed.get(name, value) for name, value in outputs.items()}


def _wrapped(signature: Any, answer: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]) -> Any:
    """Return a function of the same inputs as ``signature`` whose outputs are mapped."""
    specs = signature.structured_input_signature[1]

    @tf.function
    def called(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(signature(**inputs))

    return called.get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
    )
