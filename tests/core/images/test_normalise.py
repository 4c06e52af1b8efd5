from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from core.images import normalise as normaliser
from core.images.decode import ImageRefusedError, open_image, thumbnail
from core.images.normalise import normalise
from core.images.statistics import ImageStatistics, measure, reduced, sharpness


def lesion(width: int = 160, height: int = 120) -> Image.Image:
    """A picture with another colour in each corner, so that a turn shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 120 + 100 * columns / width
    green = 80 + 80 * rows / height
    blue = np.where((columns - width * 0.4) ** 2 + (rows - height * 0.6) ** 2 < (height / 4) ** 2, 40, 160)
    return Image.fromarray(np.stack([red, green, blue], 2).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = lesion().transpose(Image.Transpose(undone[orientation]))
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    return encoded(stored, kind, exif=exif, **options)


def transparent() -> Image.Image:
    image = lesion().convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.mgrid[0:120, 0:160][1] < 20, 0, 255).astype(np.uint8)))
    return image


def on_white() -> Image.Image:
    white = Image.new("RGB", (160, 120), "white")
    white.paste(transparent(), mask=transparent().getchannel("A"))
    return white


def deep() -> Image.Image:
    return Image.fromarray(np.asarray(lesion().convert("L")).astype(np.uint16) * 257)


# What each file shows to a person.
KINDS: dict[str, Callable[[], tuple[bytes, Image.Image]]] = {
    "jpeg": lambda: (encoded(lesion(), "JPEG", quality=95), lesion()),
    "progressive": lambda: (encoded(lesion(), "JPEG", quality=95, progressive=True), lesion()),
    "grey jpeg": lambda: (encoded(lesion().convert("L"), "JPEG", quality=95), lesion().convert("L")),
    "cmyk jpeg": lambda: (encoded(lesion().convert("CMYK"), "JPEG", quality=98), lesion()),
    **{f"orientation {n}": (lambda n=n: (turned(n), lesion())) for n in range(2, 9)},
    "turned png": lambda: (turned(6, "PNG"), lesion()),
    "png": lambda: (encoded(lesion(), "PNG"), lesion()),
    "palette png": lambda: (encoded(lesion().quantize(256), "PNG"), lesion().quantize(256)),
    "alpha png": lambda: (encoded(transparent(), "PNG"), on_white()),
    "grey alpha png": lambda: (encoded(transparent().convert("LA"), "PNG"), on_white().convert("L")),
    "16-bit png": lambda: (encoded(deep(), "PNG"), lesion().convert("L")),
    "1-bit png": lambda: (encoded(lesion().convert("1"), "PNG"), lesion().convert("1")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_sees_what_a_person_sees(kind: str) -> None:
    data, seen = KINDS[kind]()
    found = normalise(data)
    pixels = tf.io.decode_image(found.data, channels=3, expand_animations=False).numpy().astype(int)
    wanted = np.asarray(seen.convert("RGB")).astype(int)
    assert pixels.shape == wanted.shape == (found.height, found.width, 3)
    assert np.abs(pixels - wanted).mean() < (6 if kind == "1-bit png" else 4)
    again = normalise(found.data)
    assert (again.data, again.converted) == (found.data, "")


def test_a_plain_jpeg_passes_bit_for_bit_without_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(lesion(), "JPEG", comment=b"note")
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
    found = normaliser.normalise(data)
    assert found.data is data
    assert (found.width, found.height, found.converted) == (160, 120, "")


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "empty", "is empty"),
        (b"GIF89a......", "not_an_image", "is neither JPEG nor PNG (begins with 47 49 46"),
        (b"\xff\xd8\xff\xe0junk", "truncated", "cannot be decoded"),
        (encoded(lesion(), "PNG")[:400], "truncated", "cannot be decoded"),
    ],
)
def test_what_is_not_an_image_is_refused_with_its_reason(data: bytes, reason: str, detail: str) -> None:
    with pytest.raises(ImageRefusedError) as refused:
        normalise(data)
    assert detail in refused.value.detail
    assert refused.value.reason in {reason, "corrupt"}


def test_bounds_are_checked_before_anything_is_decoded() -> None:
    data = encoded(lesion(), "JPEG")
    with pytest.raises(ImageRefusedError, match=r"has 160 x 120 pixels, more than 1000 in all"):
        normalise(data, max_pixels=1000)
    with pytest.raises(ImageRefusedError, match=rf"has {len(data)} bytes, more than 50"):
        open_image(data, max_bytes=50)


def test_a_thumbnail_is_upright_and_bare() -> None:
    with Image.open(io.BytesIO(thumbnail(turned(6), 64))) as small:
        assert small.size == (64, 48)
        assert not small.getexif()


def test_statistics_are_those_of_the_picture() -> None:
    found = measure(reduced(open_image(encoded(lesion(), "PNG"))))
    mean = np.asarray(lesion(), float).reshape(-1, 3).mean(0)
    assert found.channel_mean == pytest.approx(tuple(mean), abs=0.01)
    assert found.brightness == pytest.approx(mean.mean(), abs=0.01)
    assert found.redness == pytest.approx(mean[0] / mean.sum(), abs=1e-4)
    assert ImageStatistics.of(found.channel_mean, found.channel_std) == found
    with pytest.raises(ValueError, match="three numbers each"):
        ImageStatistics.of([1, 2], [3, 4])


def test_a_soft_picture_has_less_sharpness_than_a_sharp_one() -> None:
    chance = np.random.default_rng(1)
    noisy = Image.fromarray(chance.integers(0, 255, (512, 512, 3), np.uint8))
    soft = noisy.resize((64, 64)).resize((512, 512))
    assert sharpness(noisy) > 2 * sharpness(soft)
