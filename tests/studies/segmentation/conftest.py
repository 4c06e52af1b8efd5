"""Made-up pairs: dark discs on skin of many colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studies.segmentation.pairs import Loaded


def pair(draw: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    ys, xs = np.mgrid[:height, :width]
    centre = np.array([height, width]) * draw.uniform(0.4, 0.6, 2)
    radius = min(height, width) * draw.uniform(0.2, 0.3)
    mask = ((ys - centre[0]) ** 2 + (xs - centre[1]) ** 2) <= radius**2
    skin = np.array([220, 175, 160]) + draw.integers(-20, 20, 3)
    pixels = np.where(mask[..., None], skin * draw.uniform(0.3, 0.6), skin) + draw.normal(
        0, 4, (height, width, 3)
    )
    return np.clip(pixels, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="session")
def loaded() -> Loaded:
    draw = np.random.default_rng(0)
    made = [pair(draw, 32, 48) for _ in range(24)]
    return Loaded(
        np.stack([pixels for pixels, _ in made]),
        np.stack([mask.astype(np.uint8) * 255 for _, mask in made]),
        np.arange(24) % 2,
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs of two sizes as files, with labels."""
    root = tmp_path_factory.mktemp("pairs")
    draw = np.random.default_rng(1)
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rows = ["image_name,target"]
    for number in range(40):
        height, width = (48, 64) if number % 3 else (60, 50)
        pixels, mask = pair(draw, height, width)
        Image.fromarray(pixels).save(root / "images" / f"p{number:02d}.jpg", quality=95)
        ending = "_segmentation" if number % 2 else ""
        Image.fromarray(mask).save(root / "masks" / f"p{number:02d}{ending}.png")
        rows.append(f"p{number:02d},{number % 2}")
    (root / "pairs.csv").write_text("\n".join(rows) + "\n")
    return root
