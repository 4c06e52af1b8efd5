"""From a picture's bytes to the figures that the classical systems look at; knows no TensorFlow."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from skimage.feature import graycomatrix, graycoprops

from studies.baselines.lesion import Mask, Picture, segment, without_hair

# The ABCD rule, computed: asymmetry, border, colours and diameter, and the total score of them.
#
# Sources: Stolz et al., European Journal of Dermatology 4 (1994) 521-527, and Nachbar et al., Journal of the
# American Academy of Dermatology 30 (1994) 551-559, for the score 1.3 A + 0.1 B + 0.5 C + 0.5 D and its limits
# (above 5.45: melanoma; 4.75 to 5.45: suspicious). Measured from the mask as automatic systems do (Kasmi and
# Mokrani, IET Image Processing 10 (2016) 448-455): overlap after folding along both principal axes, compactness
# by sector, normalised distance to six reference colours. D is the diameter of the clinical rule (Friedman,
# Rigel and Kopf, 1985): a picture without a scale gives it only as a share of the field of view.

MELANOMA: Final = 5.45

# White, red, light brown, dark brown, blue-grey, black: RGB, as in the literature's automatic versions.
_COLOURS: Final = np.array(
    [[255, 255, 255], [204, 51, 51], [153, 102, 0], [51, 0, 0], [51, 153, 255], [0, 0, 0]], np.float64
)
_NEAR: Final = 0.4  # of the distance from black to white
_COLOUR_SHARE: Final = 0.05  # of the lesion's pixels
_FOLDED: Final = 0.10  # share of the area that does not meet itself
_SECTORS: Final = 8
_ROUGH: Final = 0.025  # relative deviation of the radius from its own smooth course


class Abcd(NamedTuple):
    """What the rule measures."""

    asymmetry_1: float  # share of the lesion that does not meet itself, folded along its long axis
    asymmetry_2: float  # the same, along its short axis
    compactness: float  # perimeter squared by 4 pi area; 1 for a disc
    roughness: float  # mean relative deviation of the radius from its smooth course
    diameter: float  # of the disc of the same area, share of the picture's width
    a: float  # axes of asymmetry, 0 to 2
    b: float  # sectors with a rough border, 0 to 8
    c: float  # colours present, 1 to 6
    d: float  # diameter in fifths of the field of view, 1 to 5
    total: float  # the total score


def abcd(picture: Picture, lesion: Mask) -> Abcd:
    """Measure a lesion (bool [h, w]) in its picture (uint8 [h, w, 3], RGB)."""
    first, second = _asymmetry(lesion)
    compactness, sectors = _border(lesion)
    area = float(lesion.sum())
    diameter = float(2 * np.sqrt(area / np.pi)) / lesion.shape[1]
    a = float((first > _FOLDED) + (second > _FOLDED))
    b = float(np.sum(sectors > _ROUGH))
    c = float(max(1, int(np.sum(colour_shares(picture[lesion]) >= _COLOUR_SHARE))))
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


# Texture of the lesion: contrast, correlation, homogeneity and energy of grey-level co-occurrence.
#
# Source: Haralick, Shanmugam, Dinstein, "Textural features for image classification", IEEE Transactions on
# Systems, Man and Cybernetics 3 (1973) 610-621.

_PROPERTIES: Final = ("contrast", "correlation", "homogeneity", "energy")
_DISTANCES: Final = (1, 4)
_ANGLES: Final = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_LEVELS: Final = 32

TEXTURE_NAMES: Final = tuple(
    f"glcm_{name}_{distance}_{kind}"
    for name in _PROPERTIES
    for distance in _DISTANCES
    for kind in ("mean", "range")
)


def texture(picture: Picture, lesion: Mask) -> npt.NDArray[np.float64]:
    """Return mean and range over four directions of each property at each distance: [16]."""
    rows, columns = np.where(lesion)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[box]
    # Level 0 stands for "outside": its row and column are struck out, so only pairs inside are counted.
    levels = np.where(lesion[box], 1 + grey.astype(np.int32) * _LEVELS // 256, 0).astype(np.uint8)
    pairs = graycomatrix(levels, _DISTANCES, _ANGLES, levels=_LEVELS + 1, symmetric=True)
    inside = pairs[1:, 1:].astype(np.float64)
    values = [graycoprops(inside, name) for name in _PROPERTIES]  # each [distances, angles]
    return np.array([f(row) for value in values for row in value for f in (np.mean, np.ptp)])


# Colour of the lesion and of the skin around it.
#
# Source: Ganster et al., "Automated melanoma recognition", IEEE Transactions on Medical Imaging 20 (2001) 233-239:
# moments of each channel inside the lesion, and the difference from the surrounding skin.

_CHANNELS: Final = ("red", "green", "blue", "hue", "saturation", "value", "lightness", "a", "b")
_STATISTICS: Final = ("mean", "deviation", "skewness")

COLOUR_NAMES: Final = tuple(
    f"{channel}_{name}" for channel in _CHANNELS for name in (*_STATISTICS, "contrast")
)


def colour(picture: Picture, lesion: Mask) -> npt.NDArray[np.float64]:
    """Return mean, deviation, skewness and contrast to the skin of nine channels, each in 0..1: [36]."""
    planes = np.concatenate(
        [
            picture,
            cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL),
            cv2.cvtColor(picture, cv2.COLOR_RGB2LAB),
        ],
        axis=2,
    ).astype(np.float64)
    planes /= 255.0
    inside = planes[lesion]
    outside = planes[~lesion] if (~lesion).sum() > 100 else planes.reshape(-1, planes.shape[2])
    mean, deviation = inside.mean(axis=0), inside.std(axis=0)
    skewness = ((inside - mean) ** 3).mean(axis=0) / np.maximum(deviation, 1e-3) ** 3
    contrast = mean - outside.mean(axis=0)
    return np.stack([mean, deviation, skewness, contrast], axis=1).ravel()


SIDE: Final = 224  # px, of the longer side: what the limits of hair and border were chosen at
NAMES: Final = (
    *(f"abcd_{name}" for name in Abcd._fields),
    *TEXTURE_NAMES,
    *COLOUR_NAMES,
    *(f"share_{name}" for name in ("white", "red", "light_brown", "dark_brown", "blue_grey", "black")),
)
TOTAL: Final = NAMES.index("abcd_total")


def describe(image_bytes: bytes) -> npt.NDArray[np.float32]:
    """Return the figures named by `NAMES` of one encoded picture: float32 [68].

    Raises:
        ValueError: the bytes are no picture.
    """
    read = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError("the bytes are no picture")
    picture = np.asarray(cv2.cvtColor(_small(np.asarray(read, np.uint8)), cv2.COLOR_BGR2RGB), np.uint8)
    bare = without_hair(picture)
    lesion = segment(bare)
    values = np.concatenate(
        [
            abcd(bare, lesion),
            texture(bare, lesion),
            colour(bare, lesion),
            colour_shares(bare[lesion]),
        ]
    )
    return np.nan_to_num(values).astype(np.float32)


def _small(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
