"""Figures of a picture that drift is watched by, and the focus measure of every room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageStat

from core.images.decode import rgb

# Measured on a picture reduced to about this side, so that figures of every camera and room are comparable.
SIDE: Final = 256


@dataclass(frozen=True)
class ImageStatistics:
    """Means (0 to 255) and standard deviations of R, G and B of one picture, and figures made of them."""

    channel_mean: tuple[float, float, float]
    channel_std: tuple[float, float, float]

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> ImageStatistics:
        """Return the statistics of recorded means and deviations. Raises ValueError unless they are finite triples."""
        values = np.asarray([mean, std], np.float64)
        if values.shape != (2, 3) or not np.isfinite(values).all():
            raise ValueError(f"channel means {mean} and deviations {std} are not three numbers each")
        (red, green, blue), (red_std, green_std, blue_std) = values.tolist()
        return cls((red, green, blue), (red_std, green_std, blue_std))

    @property
    def brightness(self) -> float:
        """Mean of the three channels, 0 to 255."""
        return round(sum(self.channel_mean) / 3, 2)

    @property
    def contrast(self) -> float:
        """Mean of the channels' standard deviations."""
        return round(sum(self.channel_std) / 3, 2)

    @property
    def redness(self) -> float:
        """Share of red in red + green + blue."""
        return round(self.channel_mean[0] / (sum(self.channel_mean) or 1.0), 4)

    @property
    def figures(self) -> dict[str, float]:
        """What drift is watched by, by name."""
        return {"brightness": self.brightness, "contrast": self.contrast, "redness": self.redness}


def reduced(image: Image.Image) -> Image.Image:
    """Decode an opened image to RGB of at most 512 px a side. Raises ImageRefusedError."""
    image.draft("RGB", (SIDE, SIDE))  # a JPEG's own decoder does most of the reducing
    picture = rgb(image)
    if max(picture.size) > 2 * SIDE:
        picture = picture.copy()
        picture.thumbnail((SIDE, SIDE))
    return picture


def measure(picture: Image.Image) -> ImageStatistics:
    """Return the statistics of an RGB picture, as ``reduced`` gives it."""
    found = ImageStat.Stat(picture)
    return ImageStatistics.of(
        [round(one, 2) for one in found.mean[:3]], [round(one, 2) for one in found.stddev[:3]]
    )


def sharpness(picture: Image.Image) -> float:
    """Return the standard deviation of the Laplacian, at one scale whatever the camera: 256 x 256."""
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    return round(float(laplacian(grey).std()), 3)


def laplacian(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the 4-neighbour Laplacian of the inner pixels: [h, w] in, [h - 2, w - 2] out.

    Its variance is the focus measure of Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy (2000).
    """
    around = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
    return np.asarray(around - 4 * plane[1:-1, 1:-1], np.float32)
