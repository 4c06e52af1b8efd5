"""The JPEGs of the serving benchmarks: real ones where they are, else noise."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def folder(work: Path) -> Path:
    """A folder with JPEGs of 224 pixels; made in `work` where there are no real ones."""
    real = Path(os.environ.get("MELANOSIZER_REAL_DATA", ROOT.parent / "shared" / "data")) / "ham10000"
    if real.is_dir():
        return real
    import numpy as np
    from PIL import Image

    made = work / "images"
    made.mkdir(exist_ok=True)
    for i in range(64):
        pixels = np.random.default_rng(i).integers(0, 255, (28, 28, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((224, 224)).save(made / f"{i}.jpg", quality=90)
    return made
