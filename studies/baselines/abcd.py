"""The ABCD rule, computed: asymmetry, border, colours and diameter, and the total score of them.

Sources: Stolz et al., European Journal of Dermatology 4 (1994) 521-527, and Nachbar et al., Journal of the
American Academy of Dermatology 30 (1994) 551-559, for the score 1.3 A + 0.1 B + 0.5 C + 0.5 D and its limits
(above 5.45: melanoma; 4.75 to 5.45: suspicious). Measured from the mask as automatic systems do (Kasmi and
Mokrani, IET Image Processing 10 (2016) 448-455): overlap after folding along both principal axes, compactness
by sector, normalised distance to six reference colours. D is the diameter of the clinical rule (Friedman,
Rigel and Kopf, 1985): a picture without a scale gives it only as a share of the field of view.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from studies.baselines.hair import Picture
from studies.baselines.otsu import Mask

MELANOMA: Final = 5.45
SUSPICIOUS: Final = 4.75

# White, red, light brown, dark brown, blue-grey, black: RGB, as in the literature's automatic versions.
_COLOURS: Final = np.array(
    [[255, 255, 255], [204, 51, 51], [153, 102, 0], [51, 0, 0], [51, 153, 255], [0, 0, 0]], np.float64
)
_NEAR: Final = 0.4  # of the distance from black to white
_SHARE: Final = 0.05  # of the lesion's pixels
_FOLDED: Final = 0.10  # share of the area that does not meet itself
_SECTORS: Final = 8
_ROUGH: Final = 0.025  # relative deviation of the radius from its own smooth course


class Abcd(NamedTuple):
    """What the rule measures.

    Attributes:
        asymmetry_1: share of the lesion that does not meet itself, folded along its long axis.
        asymmetry_2: the same, along its short axis.
        compactness: perimeter squared by 4 pi area; 1 for a disc.
        roughness: mean relative deviation of the radius from its smooth course.
        diameter: of the disc of the same area, share of the picture's width.
        a: axes of asymmetry, 0 to 2.
        b: sectors with a rough border, 0 to 8.
        c: colours present, 1 to 6.
        d: diameter in fifths of the field of view, 1 to 5.
        total: the total score.
    """

    asymmetry_1: float
    asymmetry_2: float
    compactness: float
    roughness: float
    diameter: float
    a: float
    b: float
    c: float
    d: float
    total: float


def measure(picture: Picture, lesion: Mask) -> Abcd:
    """Measure a lesion (bool [h, w]) in its picture (uint8 [h, w, 3], RGB)."""
    first, second = _asymmetry(lesion)
    compactness, sectors = _border(lesion)
    area = float(lesion.sum())
    diameter = float(2 * np.sqrt(area / np.pi)) / lesion.shape[1]
    a = float((first > _FOLDED) + (second > _FOLDED))
    b = float(np.sum(sectors > _ROUGH))
    c = float(max(1, int(np.sum(colour_shares(picture[lesion]) >= _SHARE))))
    d = float(np.clip(np.ceil(5 * diameter), 1, 5))
    total = 1.3 * a + 0.1 * b + 0.5 * c + 0.5 * d
    return Abcd(first, second, compactness, float(sectors.mean()), float(diameter), a, b, c, d, total)


def colour_shares(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the share of pixels (uint8 [n, 3]) whose nearest reference colour is each one, and near it: [6]."""
    distance = np.linalg.norm(pixels[:, None].astype(np.float64) - _COLOURS, axis=2) / (255 * np.sqrt(3))
    nearest = distance.argmin(axis=1)
    near = distance.min(axis=1) <= _NEAR
    counts = np.bincount(nearest[near], minlength=len(_COLOURS))
    return np.asarray(counts / max(1, len(pixels)))


def _asymmetry(lesion: Mask) -> tuple[float, float]:
    """Turn the lesion so that its principal axes are the picture's, fold it along each."""
    height, width = lesion.shape
    moments = cv2.moments(lesion.astype(np.uint8), binaryImage=True)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    angle = 0.5 * np.degrees(np.arctan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"]))
    side = int(np.ceil(np.hypot(height, width))) | 1
    matrix = cv2.getRotationMatrix2D((x, y), angle, 1.0)
    matrix[:, 2] += side / 2 - 0.5 - np.array([x, y])
    turned = cv2.warpAffine(lesion.astype(np.uint8), matrix, (side, side), flags=cv2.INTER_NEAREST) > 0
    area = max(1, int(turned.sum()))
    folds = [float(np.sum(turned ^ np.flip(turned, axis))) / (2 * area) for axis in (0, 1)]
    return folds[0], folds[1]


def _border(lesion: Mask) -> tuple[float, npt.NDArray[np.float64]]:
    """Compactness, and the roughness of the border in each of eight sectors about the centre."""
    contours, _ = cv2.findContours(lesion.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = np.asarray(max(contours, key=lambda one: len(one)))
    area = float(lesion.sum())
    compactness = cv2.arcLength(outline, True) ** 2 / (4 * np.pi * area)
    points = outline[:, 0].astype(np.float64)
    offsets = points - points.mean(axis=0)
    radius = np.hypot(offsets[:, 0], offsets[:, 1])
    window = max(3, len(radius) // 12) | 1
    wrapped = np.concatenate([radius[-window:], radius, radius[:window]])
    smooth = np.convolve(wrapped, np.full(window, 1 / window), "same")[window:-window]
    rough = np.abs(radius - smooth) / max(float(radius.mean()), 1.0)
    sector = (np.arctan2(offsets[:, 1], offsets[:, 0]) + np.pi) / (2 * np.pi) * _SECTORS
    index = np.minimum(sector.astype(int), _SECTORS - 1)
    totals = np.bincount(index, rough, _SECTORS) / np.maximum(np.bincount(index, minlength=_SECTORS), 1)
    return float(compactness), np.asarray(totals)
