"""What drift is watched by: figures of an image, and the bins they are counted in."""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass

from core.images import statistics
from core.images.decode import open_image


@dataclass(frozen=True)
class Feature:
    """A number of every answer, counted in fixed bins so that counts of days can be added."""

    name: str
    title: str
    edges: tuple[float, ...]  # inner edges; bins below the first and from the last on are open

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 1

    def bin(self, value: float) -> int:
        """The bin of a value."""
        return bisect.bisect_right(self.edges, value)

    def label(self, number: int) -> str:
        """A bin's range."""
        if number == 0:
            return f"below {self.edges[0]:g}"
        if number == len(self.edges):
            return f"{self.edges[-1]:g} and over"
        return f"{self.edges[number - 1]:g} to {self.edges[number]:g}"


def _steps(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(round(low + (high - low) * i / count, 4) for i in range(count + 1))


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        # Most lesions lie below 5 %: narrow bins there.
        Feature("probability", "probability", (0.005, 0.01, 0.02, 0.05, *_steps(0.1, 0.9, 8))),
        Feature("brightness", "brightness", _steps(80, 230, 15)),
        Feature("contrast", "contrast", _steps(5, 75, 14)),
        Feature("redness", "share of red", _steps(0.30, 0.56, 13)),
        Feature("sharpness", "sharpness", (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30)),
    )
}
LATENCY = Feature(
    "latency_ms",
    "latency",
    (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000, 2000, 5000),
)
COUNTED: dict[str, Feature] = {**FEATURES, LATENCY.name: LATENCY}


@dataclass(frozen=True)
class ImageFacts:
    """What is kept of an image, whose encoded bytes are counted and hashed; figures are those of core's statistics."""

    sha256: str
    bytes: int
    width: int
    height: int
    brightness: float
    contrast: float
    redness: float
    sharpness: float


def image_facts(data: bytes, *, max_bytes: int, max_pixels: int) -> ImageFacts:
    """Measure a JPEG or PNG as the model server does, so that both can be compared.

    Raises:
        ImageRefusedError: it cannot be decoded, or it is larger than allowed.
    """
    with open_image(data, max_bytes=max_bytes, max_pixels=max_pixels) as image:
        width, height = image.size
        picture = statistics.reduced(image)
    return ImageFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        width=width,
        height=height,
        sharpness=statistics.sharpness(picture),
        **statistics.measure(picture).figures,
    )
