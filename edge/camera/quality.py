"""Is this photograph good enough to be asked about, and if not, what should change?

Everything is measured at 224 pixels on the short side, which is what the network looks at: blur that it
cannot see does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.images.statistics import laplacian
from edge.camera.photograph import Pixels
from edge.config import QualitySection

SIDE = 224
GRID = 56  # the lesion is sought on a coarse grid: hairs vanish, moles stay
Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
RIM_DARK = 30.0  # the black surround of a dermoscope's field of view, 8-bit luminance


@dataclass(frozen=True)
class Lesion:
    """Where the darkest patch is: middle in 0..1 of width and height, share of the picture, and contrast."""

    x: float
    y: float
    share: float
    contrast: float  # 8-bit luminance between it and the skin around


@dataclass(frozen=True)
class Measures:
    """The numbers behind the advice."""

    focus: float
    luminance: float
    glare: float
    lesion: Lesion | None


@dataclass(frozen=True)
class Quality:
    """What was measured, and the advice: keys of the catalogue, most urgent first; empty when all is well."""

    measures: Measures
    advice: tuple[str, ...]

    @property
    def good(self) -> bool:
        """True when nothing needs to change."""
        return not self.advice

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, rounded to what the numbers are worth."""
        lesion = self.measures.lesion
        return {
            "focus": round(self.measures.focus, 1),
            "luminance": round(self.measures.luminance, 1),
            "glare": round(self.measures.glare, 4),
            "lesion_share": round(lesion.share, 4) if lesion else None,
            "lesion_contrast": round(lesion.contrast, 1) if lesion else None,
            "advice": list(self.advice),
        }


def check(pixels: Pixels, limits: QualitySection) -> Quality:
    """Measures [height, width, 3] RGB `pixels` and says what to change."""
    measures = measure(pixels)
    advice = []
    if measures.luminance < limits.darkest:
        advice.append("too_dark")
    if measures.luminance > limits.brightest:
        advice.append("too_bright")
    if measures.glare > limits.glare:
        advice.append("glare")
    if measures.focus < limits.focus:
        advice.append("blurred")
    lesion = measures.lesion
    if lesion is None or lesion.contrast < limits.contrast or lesion.share < limits.lesion_smallest:
        advice.append("no_lesion")
    elif np.hypot(lesion.x - 0.5, lesion.y - 0.5) > limits.off_centre:
        advice.append("off_centre")
    return Quality(measures, tuple(advice))


def measure(pixels: Pixels) -> Measures:
    """Return the four measures of [height, width, 3] RGB pixels."""
    image = Image.fromarray(pixels)
    factor = SIDE / min(image.size)
    if factor < 1:
        size = (round(image.width * factor), round(image.height * factor))
        image = image.resize(size, Image.Resampling.BOX)
    luminance = np.asarray(image.convert("L"), dtype=np.float32)
    field = ~_rim(luminance)
    if not field.any():
        field = np.ones_like(field)
    return Measures(
        focus=_focus(luminance, field),
        luminance=float(luminance[field].mean()),
        glare=_glare(np.asarray(image), field),
        lesion=find_lesion(luminance, field),
    )


def find_lesion(luminance: Plane, field: Mask) -> Lesion | None:
    """Return the largest dark patch of the field of view by Otsu's threshold; None on an even picture.

    Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9(1), 1979.
    """
    grid = _coarse(luminance)
    seen = _coarse(field.astype(np.float32)) > 0.99
    if seen.sum() < grid.size / 8:
        return None
    dark = (grid < _otsu(grid[seen])) & seen
    patch = _most_central(dark)
    if patch is None:
        return None
    around = seen & ~dark
    if not around.any():
        return None
    rows, columns = np.nonzero(patch)
    contrast = float(np.median(grid[around]) - np.median(grid[patch]))
    share = float(patch.sum() / grid.size)
    return Lesion((columns.mean() + 0.5) / GRID, (rows.mean() + 0.5) / GRID, share, contrast)


def _focus(luminance: Plane, field: Mask) -> float:
    # The edge of the field of view is sharp in every picture and says nothing about the skin.
    away = field[1:-1, 1:-1] & field[:-2, 1:-1] & field[2:, 1:-1] & field[1:-1, :-2] & field[1:-1, 2:]
    return float(laplacian(luminance)[away].var()) if away.any() else 0.0


def _glare(colour: Pixels, field: Mask) -> float:
    # Whole planes at a time: a maximum along the short last axis takes numpy twenty times as long.
    red, green, blue = (np.ascontiguousarray(colour[..., channel]) for channel in range(3))
    dullest = np.minimum(np.minimum(red, green), blue)
    brightest = np.maximum(np.maximum(red, green), blue)
    return float(((dullest > 235) & (brightest - dullest < 20) & field).sum() / field.sum())


def _coarse(plane: Plane) -> Plane:
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float32)


def _rim(luminance: Plane) -> Mask:
    """Return the dark surround: dark pixels reachable from a corner. A dark lesion inside is not part of it."""
    small = _coarse(luminance) < RIM_DARK
    seed = np.zeros_like(small)
    corners = np.ix_((0, -1), (0, -1))
    seed[corners] = small[corners]
    rim = _grow(seed, small)
    if not rim.any():
        return np.zeros(luminance.shape, np.bool_)
    size = (luminance.shape[1], luminance.shape[0])
    return np.asarray(Image.fromarray(_grown(rim)).resize(size, Image.Resampling.NEAREST), dtype=np.bool_)


def _grown(mask: Mask) -> Mask:
    larger = mask.copy()
    larger[1:] |= mask[:-1]
    larger[:-1] |= mask[1:]
    larger[:, 1:] |= mask[:, :-1]
    larger[:, :-1] |= mask[:, 1:]
    return larger


def _grow(seed: Mask, allowed: Mask) -> Mask:
    """Return the part of `allowed` that is connected with `seed`."""
    while True:
        larger = _grown(seed) & allowed
        if np.array_equal(larger, seed):
            return larger
        seed = larger


def _otsu(values: Plane) -> float:
    counts, edges = np.histogram(values, bins=64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[int(np.nanargmax(np.where(np.isfinite(between), between, -1.0))) + 1])


def _most_central(dark: Mask) -> Mask | None:
    """Return the patch with the most cells, cells near the middle counting more: the vignette lies at the rim."""
    # Specks and hairs have no cell whose four neighbours are dark too; growing back into `dark` keeps shapes.
    core = dark & ~_grown(~dark)
    left = _grow(core, dark) if core.any() else dark.copy()
    axis = np.linspace(-1, 1, GRID)
    weight = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / 0.8)
    best: Mask | None = None
    most = 0.0
    while left.any():
        seed = np.zeros_like(left)
        seed.flat[int(np.argmax(left))] = True
        patch = _grow(seed, left)
        left &= ~patch
        score = float(weight[patch].sum())
        if score > most:
            best, most = patch, score
    return best
