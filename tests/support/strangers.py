"""Pictures that are no dermoscopy: photographs and faces of scikit-image, documents, patterns, noise, frames."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image, ImageDraw

_DATA = Path(skimage.__file__).parent / "data"
_PHOTOGRAPHS = [
    *(_DATA / f"{name}.png" for name in (
        "astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "color", "grass", "gravel",
        "horse", "ihc", "logo", "moon", "motorcycle_left", "page", "phantom", "text",
    )),
    *(_DATA / f"{name}.jpg" for name in ("hubble_deep_field", "retina", "rocket")),
    *(Path(sklearn.__file__).parent / "datasets" / "images" / f"{name}.jpg" for name in ("china", "flower")),
]  # fmt: skip


def pictures(seed: int = 0) -> dict[str, bytes]:
    """174 JPEGs by name."""
    draw = np.random.default_rng(seed)
    found: dict[str, Image.Image] = {}
    for path in _PHOTOGRAPHS:
        with Image.open(path) as opened:
            photograph = opened.convert("RGB")
        found[path.stem] = photograph
        width, height = photograph.size
        for number in range(3):
            side = int(min(width, height) * draw.uniform(0.4, 0.8))
            x, y = int(draw.integers(0, width - side + 1)), int(draw.integers(0, height - side + 1))
            found[f"{path.stem}-{number}"] = photograph.crop((x, y, x + side, y + side))
    for number, face in enumerate(np.load(_DATA / "lfw_subset.npy")[:40]):
        grey = Image.fromarray((face * 255).astype(np.uint8)).convert("RGB")
        found[f"face-{number}"] = grey.resize((224, 224), Image.Resampling.BICUBIC)
    for number in range(10):
        found[f"noise-{number}"] = Image.fromarray(draw.integers(0, 256, (224, 224, 3)).astype(np.uint8))
        found[f"document-{number}"] = _document(draw)
        found[f"blocks-{number}"] = _blocks(draw)
        found[f"plain-{number}"] = Image.new(
            "RGB", (224, 224), tuple(int(v) for v in draw.integers(0, 256, 3))
        )
    found["black"] = Image.new("RGB", (640, 480))
    found["white"] = Image.new("RGB", (640, 480), (255, 255, 255))
    return {name: _jpeg(image) for name, image in found.items()}


def _document(draw: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (300, 400), (250, 250, int(draw.integers(235, 250))))
    pen = ImageDraw.Draw(page)
    for line in range(20, 380, int(draw.integers(10, 16))):
        x = 20
        while x < 270:
            word = int(draw.integers(8, 40))
            pen.rectangle((x, line, min(x + word, 280), line + 5), fill=(30, 30, 30))
            x += word + 6
    return page


def _blocks(draw: np.random.Generator) -> Image.Image:
    cells = draw.integers(0, 256, (int(draw.integers(2, 12)), int(draw.integers(2, 12)), 3)).astype(np.uint8)
    return Image.fromarray(cells).resize((224, 224), Image.Resampling.NEAREST)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
