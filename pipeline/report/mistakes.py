"""The worst errors: melanomas with the lowest probability, other lesions with the highest."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.evaluator.predictions import Prediction
from components.evaluator.worst import SHOWN, false_alarms
from pipeline.report import words


@dataclass(frozen=True)
class Mistake:
    """One wrong answer, its picture, and that under the heat map: data URIs, "" where there is none."""

    prediction: Prediction
    picture: str
    heat_map: str


def carcinomas(predictions: Sequence[Prediction]) -> int:
    """Count the false alarms that belong in front of a dermatologist for another reason than melanoma."""
    return sum(item.diagnosis in words.CARCINOMAS for item in false_alarms(predictions))


def with_pictures(
    predictions: Sequence[Prediction], pictures: Mapping[str, bytes], heat_maps: Mapping[str, bytes]
) -> list[Mistake]:
    """Return the first twelve with their pictures and, if there are any, their heat maps."""
    return [
        Mistake(item, data_uri(pictures.get(item.image_name)), data_uri(heat_maps.get(item.image_name)))
        for item in predictions[:SHOWN]
    ]


def data_uri(image: bytes | None) -> str:
    """Return an encoded picture as a data URI, "" for None."""
    if image is None:
        return ""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
