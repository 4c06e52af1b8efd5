"""What can be seen of an encoded picture, as slices of the test split: nobody has to record it."""

from __future__ import annotations

import io
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from components.evaluator.image_quality import SIDE, image_quality
from components.evaluator.skin_tone import skin_tone
from core.features import UNKNOWN


class Seen(NamedTuple):
    """Slices of one picture: fields are named as the slice features are."""

    skin_tone: str
    image_quality: str


NOT_SEEN: Final = Seen(UNKNOWN, UNKNOWN)


def look(encoded: bytes) -> Seen:
    """Return the slices of an encoded picture (JPEG or PNG); unknown where it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            # A JPEG's decoder reduces by itself, at a fraction of the cost.
            image.draft("RGB", (SIDE, SIDE))
            pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return NOT_SEEN
    return Seen(skin_tone(pixels), image_quality(pixels))
