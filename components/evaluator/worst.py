"""The errors a model was surest of, with their pictures and where it looked."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from components.evaluator.predictions import Prediction
from core.images import decode

if TYPE_CHECKING:
    from components.evaluator.model import Model

SHOWN: Final = 12  # of each kind
PICTURES: Final = "pictures"
HEAT_MAPS: Final = "heat_maps"
THUMBNAIL: Final = 176  # px: sharp on a dense display at half of it
QUALITY: Final = 78


def missed(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Return the melanomas below the operating point, the lowest probability first."""
    found = [item for item in predictions if item.target and item.probability < item.threshold]
    return sorted(found, key=lambda item: (item.probability, item.image_name))


def false_alarms(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Return the other lesions at or above the operating point, the highest probability first."""
    found = [item for item in predictions if not item.target and item.probability >= item.threshold]
    return sorted(found, key=lambda item: (-item.probability, item.image_name))


class WorstErrors:
    """Keeps the images of the worst errors while answers pass by, and no other."""

    def __init__(self) -> None:
        self._images: dict[Prediction, bytes] = {}

    def add(self, prediction: Prediction, image: bytes) -> None:
        """Keep the image if the answer is among the worst so far."""
        if bool(prediction.target) == (prediction.probability >= prediction.threshold):
            return
        self._images[prediction] = image
        if len(self._images) > 4 * SHOWN:
            kept = {*missed(self._images)[:SHOWN], *false_alarms(self._images)[:SHOWN]}
            self._images = {item: self._images[item] for item in kept}

    def save(self, model: Model, folder: Path) -> None:
        """Write thumbnails, and those of missed melanomas under the model's heat map, as JPEGs into ``folder``.

        Files are numbered; ``missed_00.jpg`` is the first of :func:`missed`.
        """
        for name in (PICTURES, HEAT_MAPS):
            (folder / name).mkdir(exist_ok=True)
        sizes = {}
        for kind, items in (("missed", missed(self._images)), ("false_alarm", false_alarms(self._images))):
            for number, item in enumerate(items[:SHOWN]):
                if picture := thumbnail(self._images[item]):
                    (folder / PICTURES / f"{kind}_{number:02d}.jpg").write_bytes(picture)
                    with Image.open(io.BytesIO(picture)) as small:
                        sizes[item] = small.size
        asked = [item for item in missed(self._images)[:SHOWN] if item in sizes]
        for number, overlay in enumerate(model.overlays([self._images[item] for item in asked])):
            name = f"missed_{number:02d}.jpg"
            (folder / HEAT_MAPS / name).write_bytes(stretched(overlay, sizes[asked[number]]))


def thumbnail(image: bytes) -> bytes | None:
    """Return a JPEG of at most 176 px, without metadata; None if the bytes are not an image."""
    try:
        return decode.thumbnail(image, THUMBNAIL, quality=QUALITY)
    except decode.ImageRefusedError:
        return None


def stretched(overlay: bytes, size: tuple[int, int]) -> bytes:
    """Return the square overlay in a thumbnail's size: side by side, both show a spot at the same place."""
    with Image.open(io.BytesIO(overlay)) as square:
        return decode.encode_jpeg(square.convert("RGB").resize(size, Image.Resampling.LANCZOS), QUALITY)
