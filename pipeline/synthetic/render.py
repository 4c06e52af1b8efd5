"""One picture: skin, lesion, artefacts, camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic import outline, pigment
from pipeline.synthetic.noise import grid
from pipeline.synthetic.outline import Measured
from pipeline.synthetic.pigment import Image
from pipeline.synthetic.traits import Traits


def hairs(rng: np.random.Generator, image: Image, count: int) -> Image:
    """Lay ``count`` curved hairs over the picture."""
    size = image.shape[0]
    drawn = np.zeros((size, size), np.uint8)
    heading = rng.uniform(0, np.pi)
    steps = np.linspace(0, 1, 24)[:, None]
    for _ in range(count):
        start = rng.uniform(-0.1, 1.1, 2) * size
        turn = heading + rng.normal(0, 0.5)
        reach = rng.uniform(0.3, 1.1) * size
        end = start + reach * np.array((np.cos(turn), np.sin(turn)))
        bend = (start + end) / 2 + rng.normal(0, 0.15 * reach, 2)
        curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * end
        points = np.rint(curve * 16).astype(np.int32)[:, None, :]
        thickness = 1 + int(rng.random() < 0.3) * max(1, round(size / 160))
        cv2.polylines(
            drawn, [points], isClosed=False, color=255, thickness=thickness, lineType=cv2.LINE_AA, shift=4
        )
    share = cv2.GaussianBlur(drawn, (0, 0), 0.6).astype(np.float32)[..., None] * np.float32(
        rng.uniform(0.6, 0.9) / 255
    )
    blond = rng.random() < 0.25
    colour = np.array((0.78, 0.62, 0.45) if blond else (0.16, 0.11, 0.10), np.float32)
    return np.asarray(image * (1 - share) + colour * share, np.float32)


def bubbles(rng: np.random.Generator, image: Image, count: int) -> Image:
    """Add bubbles of immersion gel: a bright ring with a highlight."""
    size = image.shape[0]
    light = np.zeros((size, size), np.uint8)
    for _ in range(count):
        x, y = (int(value) for value in rng.integers(0, size, 2))
        radius = round(size * rng.uniform(0.01, 0.06))
        cv2.circle(light, (x, y), radius, 70, 1, cv2.LINE_AA)
        cv2.circle(light, (x - radius // 3, y - radius // 3), max(1, radius // 5), 160, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(light, (0, 0), 0.8).astype(np.float32)[..., None] / 255
    return np.asarray(image + soft * (1 - image), np.float32)


def ruler(rng: np.random.Generator, image: Image, mm_per_pixel: float) -> Image:
    """Draw a true millimetre scale along one edge."""
    size = image.shape[0]
    ink = np.zeros((size, size), np.uint8)
    step = 1 / mm_per_pixel
    for index in range(int(size / step)):
        length = round(size * (0.06 if index % 5 == 0 else 0.03))
        at = round((index + 0.5) * step)
        cv2.line(ink, (at, 0), (at, length), 255, 1, cv2.LINE_AA)
    ink = np.rot90(ink, int(rng.integers(4)))
    return np.asarray(image * (1 - np.float32(0.75 / 255) * ink[..., None].astype(np.float32)), np.float32)


def lens(rng: np.random.Generator, image: Image) -> Image:
    """Darken towards the corners; every fifth dermatoscope shows the rim of its tube."""
    size = image.shape[0]
    y, x = ((axis - np.float32((size - 1) / 2)) / np.float32(size / 2) for axis in grid(size))
    off = rng.normal(0, 0.08, 2).astype(np.float32)
    radius = np.hypot(x - off[0], y - off[1])
    falloff = 1 - np.float32(rng.uniform(0.05, 0.30)) * np.clip(radius / 1.41, 0, 1) ** 2.5
    if rng.random() < 0.2:
        rim = np.float32(rng.uniform(1.0, 1.25))
        falloff = falloff * (1 - np.float32(0.93) / (1 + np.exp(-(radius - rim) * 45)))
    return np.asarray(image * falloff[..., None], np.float32)


def sensor(rng: np.random.Generator, image: Image) -> Image:
    """Focus, exposure and noise of the camera; the result is in 0..1."""
    size = image.shape[0]
    blur = rng.uniform(0.0, 0.0045) * size
    if blur > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = image * np.float32(rng.uniform(0.88, 1.08))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.014))
    return np.asarray(np.clip(image + noise, 0, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered lesion."""

    image: NDArray[np.uint8]  # [size, size, 3] uint8 RGB
    mask: NDArray[np.uint8]  # [size, size] uint8, 255 on the lesion
    measured: Measured  # what the mask says, lengths in pixels
    mm_per_pixel: float  # scale
    hairs: int  # how many lie over it


def render(rng: np.random.Generator, traits: Traits, size: int, skin_type: int, hair_share: float) -> Picture:
    """Draw ``traits`` on skin of Fitzpatrick type ``skin_type``; all randomness comes from ``rng``."""
    # The magnification varies, so the lesion's size in pixels says little about its size in millimetres.
    fill = float(np.clip(rng.normal(0.52, 0.10), 0.28, 0.78))
    mm_per_pixel = float(np.clip(traits.diameter_mm / fill, 6.0, 24.0)) / size
    radius = float(np.clip(traits.diameter_mm / 2 / mm_per_pixel * 0.86, 0.10 * size, 0.40 * size))
    place = outline.draw(rng, traits, size, radius)
    image = pigment.paint(rng, pigment.draw(rng, size, skin_type), traits, place)
    count = 0
    if rng.random() < hair_share:
        count = 1 + int(rng.geometric(0.12))
        image = hairs(rng, image, count)
    if rng.random() < 0.12:
        image = bubbles(rng, image, 1 + int(rng.poisson(4)))
    if rng.random() < 0.10:
        image = ruler(rng, image, mm_per_pixel)
    image = sensor(rng, lens(rng, image))
    pixels = np.rint(image * 255).astype(np.uint8)
    return Picture(pixels, place.mask, outline.measure(place.mask), mm_per_pixel, count)
