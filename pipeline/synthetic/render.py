"""One picture: skin, lesion, artefacts, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic import artefacts, outline, pigment, skin
from pipeline.synthetic.outline import Measured
from pipeline.synthetic.traits import Traits


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered lesion.

    Attributes:
        image: [size, size, 3] uint8 RGB.
        mask: [size, size] uint8, 255 on the lesion.
        measured: what the mask says, lengths in pixels.
        mm_per_pixel: scale.
        hairs: how many lie over it.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    measured: Measured
    mm_per_pixel: float
    hairs: int


def render(rng: np.random.Generator, traits: Traits, size: int, skin_type: int, hair_share: float) -> Picture:
    """Draw ``traits`` on skin of Fitzpatrick type ``skin_type``; all randomness comes from ``rng``."""
    # The magnification varies, so the lesion's size in pixels says little about its size in millimetres.
    fill = float(np.clip(rng.normal(0.52, 0.10), 0.28, 0.78))
    mm_per_pixel = float(np.clip(traits.diameter_mm / fill, 6.0, 24.0)) / size
    radius = float(np.clip(traits.diameter_mm / 2 / mm_per_pixel * 0.86, 0.10 * size, 0.40 * size))
    place = outline.draw(rng, traits, size, radius)
    image = pigment.paint(rng, skin.draw(rng, size, skin_type), traits, place)
    count = 0
    if rng.random() < hair_share:
        count = 1 + int(rng.geometric(0.12))
        image = artefacts.hairs(rng, image, count)
    if rng.random() < 0.12:
        image = artefacts.bubbles(rng, image, 1 + int(rng.poisson(4)))
    if rng.random() < 0.10:
        image = artefacts.ruler(rng, image, mm_per_pixel)
    image = artefacts.sensor(rng, artefacts.lens(rng, image))
    pixels = np.rint(image * 255).astype(np.uint8)
    return Picture(pixels, place.mask, outline.measure(place.mask), mm_per_pixel, count)
