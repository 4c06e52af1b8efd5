"""The worst errors: melanomas with the lowest probability, other lesions with the highest."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.report import words

if TYPE_CHECKING:
    from components.evaluator.predictions import Prediction
    from pipeline.report.lesions import Lesions

SHOWN = 12


@dataclass(frozen=True)
class Mistake:
    """One wrong answer, its picture, and that under the heat map: data URIs, "" where there is none."""

    prediction: Prediction
    picture: str
    heat_map: str


def missed(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the melanomas below the operating point, the lowest probability first."""
    found = [item for item in predictions if item.target and item.probability < item.threshold]
    return sorted(found, key=lambda item: (item.probability, item.image_name))


def false_alarms(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the other lesions at or above the operating point, the highest probability first."""
    found = [item for item in predictions if not item.target and item.probability >= item.threshold]
    return sorted(found, key=lambda item: (-item.probability, item.image_name))


def carcinomas(predictions: Sequence[Prediction]) -> int:
    """Count the false alarms that belong in front of a dermatologist for another reason than melanoma."""
    return sum(item.diagnosis in words.CARCINOMAS for item in false_alarms(predictions))


def pictured(predictions: Sequence[Prediction]) -> frozenset[str]:
    """Return the names of the images that are shown."""
    shown = [*missed(predictions)[:SHOWN], *false_alarms(predictions)[:SHOWN]]
    return frozenset(item.image_name for item in shown)


def explained(predictions: Sequence[Prediction]) -> frozenset[str]:
    """Return the names of the images that are shown under a heat map too: the missed melanomas."""
    return frozenset(item.image_name for item in missed(predictions)[:SHOWN])


def with_pictures(
    predictions: Sequence[Prediction], lesions: Lesions | None, heat_maps: Mapping[str, bytes]
) -> list[Mistake]:
    """Return the first :data:`SHOWN` with their pictures and, where there are any, their heat maps."""
    pictures = lesions.pictures if lesions else {}
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
