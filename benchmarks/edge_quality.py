"""How often the quality checks are right on real dermoscopic images: `python -m benchmarks.edge_quality [N]`.

Takes N images of ham10000 (default 600, seed 1) as they are and spoiled in known ways, and the lesion masks of
the segmentation set. The limits in edge/config.py were chosen on this table.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks.measuring import REAL_DATA, markdown, row
from edge.camera.quality import check, measure
from edge.config import QualitySection

Spoil = Callable[[Image.Image], Image.Image]


def glare(image: Image.Image) -> Image.Image:
    """A reflection over a tenth of the picture."""
    spoiled = np.asarray(image).copy()
    height, width = spoiled.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    spoiled[np.hypot(rows - height * 0.4, columns - width * 0.6) < 0.18 * height] = 255
    return Image.fromarray(spoiled)


SPOILED: list[tuple[str, Spoil, str]] = [
    ("as it is", lambda image: image, ""),
    ("blur, sigma 1.0 px at 224", lambda image: image.filter(ImageFilter.GaussianBlur(1.0)), "blurred"),
    ("blur, sigma 1.5 px at 224", lambda image: image.filter(ImageFilter.GaussianBlur(1.5)), "blurred"),
    ("light x 0.5", lambda image: ImageEnhance.Brightness(image).enhance(0.5), "too_dark"),
    ("light x 0.35", lambda image: ImageEnhance.Brightness(image).enhance(0.35), "too_dark"),
    ("light x 1.7", lambda image: ImageEnhance.Brightness(image).enhance(1.7), "too_bright or glare"),
    ("reflection over 10 %", glare, "glare"),
]


def main(count: int) -> int:
    """Prints two tables."""
    folder = REAL_DATA / "ham10000" / "images"
    if not folder.is_dir():
        print(f"{folder} does not exist: set MELANOSIZER_REAL_DATA", file=sys.stderr)
        return 2
    names = sorted(folder.iterdir())
    random.Random(1).shuffle(names)
    images = [Image.open(name).convert("RGB") for name in names[:count]]
    limits = QualitySection()
    head = f"{len(images)} images of ham10000", "no advice", "the right advice", "any advice"
    print(markdown(head, rule="---"))
    for name, spoil, right in SPOILED:
        found = [check(np.asarray(spoil(image)), limits).advice for image in images]
        fine = np.mean([not one for one in found])
        hit = np.mean([any(key in right for key in one) for one in found]) if right else float("nan")
        print(row((name, f"{fine:.1%}", f"{hit:.1%} {right}" if right else "–", f"{1 - fine:.1%}")))
    apart = []
    masked = REAL_DATA / "segmentation"
    with (masked / "pairs.csv").open() as file:
        pairs = [row["image_name"] for row in csv.DictReader(file)]
    for pair in pairs:
        image = Image.open(next((masked / "images").glob(f"{pair}.*"))).convert("RGB")
        mask = Image.open(next((masked / "masks").glob(f"{pair}*"))).resize(image.size)
        rows, columns = np.nonzero(np.asarray(mask))
        lesion = measure(np.asarray(image)).lesion
        if lesion is not None:
            away = (lesion.x - columns.mean() / image.width, lesion.y - rows.mean() / image.height)
            apart.append(float(np.hypot(*away)))
    quantiles = np.percentile(apart, [50, 75, 90])
    print(
        f"\n{len(apart)} of {len(pairs)} masked lesions found; the middle is off by (picture widths) ", end=""
    )
    print("p50 {:.3f}, p75 {:.3f}, p90 {:.3f}".format(*quantiles))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
