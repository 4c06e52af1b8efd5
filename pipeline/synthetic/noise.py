"""Random fields: smooth noise of a given grain, and the honeycomb of a pigment network."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@cache
def grid(size: int) -> tuple[Field, Field]:
    """Row and column of every pixel: two of [size, size], not to be written to."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return y, x


def smooth(rng: np.random.Generator, size: int, grain: float, interpolation: int = cv2.INTER_CUBIC) -> Field:
    """Return one octave of noise: [size, size], mean 0, standard deviation about 1.

    A blob's width is ``grain``, a share of the picture's side. Linear interpolation is four times as fast as cubic and
    shows in large blobs only.
    """
    # One cell more on every side, because cubic interpolation is flat along the edges.
    cells = max(2, round(1 / grain)) + 2
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    wide = max(size + 2, round(size * cells / (cells - 2)))
    fine = cv2.resize(coarse, (wide, wide), interpolation=interpolation)
    start = (wide - size) // 2
    field = fine[start : start + size, start : start + size]
    return np.asarray(field * np.float32(1.35), np.float32)


def fractal(rng: np.random.Generator, size: int, grain: float, octaves: int = 4, gain: float = 0.55) -> Field:
    """Return a sum of octaves, each half as wide as the one before: [size, size], deviation about 1."""
    field = np.zeros((size, size), np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        width = grain / 2**octave
        if width * size < 1.5:
            break
        way = cv2.INTER_CUBIC if octave == 0 else cv2.INTER_LINEAR
        field += np.float32(weight) * smooth(rng, size, width, way)
        power += weight**2
        weight *= gain
    return field / np.float32(np.sqrt(power)) if power else field


def honeycomb(rng: np.random.Generator, size: int, cell: float, jitter: float) -> Field:
    """Return the lines of a network: [size, size] in 0..1, 1 on a line; jitter 0 gives a regular mesh, 1 an irregular one.

    The lines are where a point is equally far from two seeds (Worley noise), ``cell`` pixels apart on average; the
    distances come from a distance transform, so the cost does not grow with the number of cells.
    """
    seeds = np.full((size, size), 255, np.uint8)
    rows = np.arange(-cell, size + cell, cell * 0.866)
    columns = np.arange(-cell, size + cell, cell)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    x = x + (np.arange(len(rows)) % 2)[:, None] * cell / 2
    shift = rng.uniform(-0.5, 0.5, (2, *x.shape)) * cell * (0.25 + 0.75 * jitter)
    at_y = np.rint(y + shift[0]).astype(int)
    at_x = np.rint(x + shift[1]).astype(int)
    inside = (at_y >= 0) & (at_y < size) & (at_x >= 0) & (at_x < size)
    seeds[at_y[inside], at_x[inside]] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    return np.clip(np.asarray(distance, np.float32) / np.float32(cell * 0.62), 0, 1) ** 2
