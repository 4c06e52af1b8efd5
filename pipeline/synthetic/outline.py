"""Where the lesion is: its outline as a level set, its mask, and what can be measured on the mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.noise import Field, fractal, grid
from pipeline.synthetic.traits import Traits


@dataclass(frozen=True, slots=True)
class Outline:
    """A lesion's place in the picture."""

    level: Field  # [size, size] float32, positive inside, 0 on the border, 1 in the middle
    mask: NDArray[np.uint8]  # [size, size] uint8, 255 inside: the largest piece, without holes
    centre: tuple[float, float]  # x and y in pixels
    radius: float  # mean radius in pixels


@dataclass(frozen=True, slots=True)
class Measured:
    """What the mask says."""

    asymmetry: float  # 0 to 1, mean share of the area without a mirror image over the two principal axes
    border_irregularity: float  # perimeter^2 / (4 pi area) - 1 of the outline, 0 for a disc
    diameter: float  # longest extent in pixels
    area_share: float  # share of the picture


def draw(rng: np.random.Generator, traits: Traits, size: int, radius: float) -> Outline:
    """Draw an outline of mean ``radius`` pixels near the middle of a picture of ``size`` pixels."""
    centre = size / 2 + rng.normal(0, 0.03 * size, 2)
    y, x = grid(size)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    # Moving the coordinates, not the radius, gives bays and islands instead of a star.
    wander = np.float32(radius * (0.03 + 0.20 * traits.ragged))
    dx += wander * fractal(rng, size, 0.9 * radius / size, 4, 0.62)
    dy += wander * fractal(rng, size, 0.9 * radius / size, 4, 0.62)
    angle = np.arctan2(dy, dx)
    shape = np.ones_like(angle)
    shape += np.float32(rng.uniform(0.04, 0.20)) * np.cos(2 * angle + np.float32(rng.uniform(0, 6.28)))
    for order, share in ((1, 0.30), (3, 0.20), (5, 0.08)):
        swing = traits.lopsided * share * rng.uniform(0.6, 1.2)
        shape += np.float32(swing) * np.cos(order * angle + np.float32(rng.uniform(0, 6.28)))
    level = 1 - np.hypot(dx, dy) / (np.float32(radius) * np.maximum(shape, 0.25))
    return Outline(
        np.asarray(level, np.float32), _largest(level > 0), (float(centre[0]), float(centre[1])), radius
    )


def measure(mask: NDArray[np.uint8]) -> Measured:
    """Measure the lesion in ``mask`` ([size, size] uint8, 255 inside); all zero when it is empty."""
    moments = cv2.moments(mask, binaryImage=True)
    area = moments["m00"]
    if area == 0:
        return Measured(0.0, 0.0, 0.0, 0.0)
    x, y = moments["m10"] / area, moments["m01"] / area
    axis = 0.5 * np.degrees(np.arctan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"]))
    turn = cv2.getRotationMatrix2D((x, y), axis, 1.0)
    side = mask.shape[0]
    turn[:, 2] += side - np.array([x, y])
    upright = cv2.warpAffine(mask, turn, (2 * side + 1, 2 * side + 1), flags=cv2.INTER_NEAREST) > 0
    unlike = [float(np.logical_xor(upright, np.flip(upright, axis)).sum()) for axis in (0, 1)]
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    # A pixel staircase is up to 1.41 times too long: smooth it before its length is taken.
    points = contour[:, 0, :].astype(np.float32)
    if len(points) > 8:
        padded = np.concatenate([points[-2:], points, points[:2]])
        points = np.stack([np.convolve(padded[:, i], np.ones(5) / 5, "valid") for i in (0, 1)], 1).astype(
            np.float32
        )
    perimeter = cv2.arcLength(points[:, None, :], closed=True)
    hull = cv2.convexHull(contour)[:, 0, :].astype(np.float32)
    diameter = float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(-1).max())) + 1
    return Measured(
        asymmetry=min(1.0, sum(unlike) / 4 / area),
        border_irregularity=max(0.0, float(perimeter**2 / (4 * np.pi * area)) - 1),
        diameter=diameter,
        area_share=float(area) / mask.size,
    )


def _largest(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros(inside.shape, np.uint8)
    if contours:
        cv2.drawContours(mask, [max(contours, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return mask
