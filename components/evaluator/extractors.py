"""TFMA extractor that adds the slice features the records do not hold themselves.

Named to the Evaluator by its dotted path; TFX looks up ``custom_extractors`` in the module.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluator.picture import Seen, look
from core.features import AGE, AGE_BAND, IMAGE, SEX, SITE, SOURCE, UNKNOWN, age_band

STAGE = "ExtractSliceFeatures"


def custom_extractors(
    eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Return TFMA's own extractors with ours before the slicing."""
    extractors: list[tfma.extractors.Extractor] = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    position = next(
        index
        for index, extractor in enumerate(extractors)
        if extractor.stage_name == tfma.extractors.SLICE_KEY_EXTRACTOR_STAGE_NAME
    )
    ours = tfma.extractors.Extractor(stage_name=STAGE, ptransform=beam.Map(add_slice_features))
    return [*extractors[:position], ours, *extractors[position:]]


def add_slice_features(extracts: dict[str, Any]) -> dict[str, Any]:
    """Add the age band, what is seen of the picture, and "unknown" where sex, site or source is missing."""
    features = dict(extracts[tfma.FEATURES_KEY])
    batch = len(extracts[tfma.INPUT_KEY])
    ages = [_scalar(value) for value in _rows(features.get(AGE), batch)]
    features[AGE_BAND] = np.array(
        [[age_band(None if age is None else float(age)).encode()] for age in ages], dtype=object
    )
    for name in (SEX, SITE, SOURCE):
        values = [_scalar(value) for value in _rows(features.get(name), batch)]
        features[name] = np.array([[UNKNOWN.encode() if v is None else v] for v in values], dtype=object)
    pictures = [_scalar(value) for value in _rows(features.get(IMAGE), batch)]
    seen = [look(value if isinstance(value, bytes) else b"") for value in pictures]
    for name in Seen._fields:
        features[name] = np.array([[getattr(one, name).encode()] for one in seen], dtype=object)
    return {**extracts, tfma.FEATURES_KEY: features}


def _rows(values: Any, batch: int) -> list[Any]:
    if values is None:
        return [None] * batch
    if hasattr(values, "dense_shape"):  # tfma.types.SparseTensorValue of optional features
        rows: list[Any] = [None] * batch
        for (row, *_), value in zip(values.indices, values.values, strict=True):
            rows[int(row)] = value
        return rows
    return list(values)


def _scalar(value: Any) -> Any:
    if value is None:
        return None
    flat = np.asarray(value, dtype=object).reshape(-1)
    return flat[0] if flat.size else None
