"""A capture is decoded once, scaled, encoded once, and carries nothing but pixels."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from edge.camera.photograph import BadPhotographError, prepare, shrink, strip_metadata
from edge.config import PhotographSection


def jpeg(image: Image.Image, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", **options)
    return target.getvalue()


def test_a_small_jpeg_keeps_its_own_pixels_and_loses_its_metadata(picture: bytes) -> None:
    image = Image.open(io.BytesIO(picture))
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    tagged = jpeg(image, quality=90, exif=exif.tobytes(), comment=b"Ward 3")
    made = prepare(tagged, PhotographSection())
    assert b"Jane Doe" in tagged
    assert b"Jane Doe" not in made.jpeg
    assert b"Ward 3" not in made.jpeg
    before, after = Image.open(io.BytesIO(tagged)), Image.open(io.BytesIO(made.jpeg))
    assert (np.asarray(before) == np.asarray(after)).all()
    assert (made.width, made.height) == (640, 480)
    assert made.sha256 == hashlib.sha256(made.jpeg).hexdigest()
    assert (made.pixels == np.asarray(after)).all()


def test_a_large_capture_is_scaled_once(picture: bytes) -> None:
    large = jpeg(Image.open(io.BytesIO(picture)).resize((3200, 2400)), quality=90)
    made = prepare(large, PhotographSection())
    assert max(made.width, made.height) <= 1250
    assert max(made.width, made.height) >= 1000
    assert made.pixels.shape == (made.height, made.width, 3)
    assert Image.open(io.BytesIO(made.jpeg)).size == (made.width, made.height)


def test_a_sideways_capture_is_turned(picture: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = jpeg(Image.open(io.BytesIO(picture)), exif=exif.tobytes())
    made = prepare(turned, PhotographSection())
    assert (made.width, made.height) == (480, 640)


def test_png_and_grey_pictures_become_rgb_jpeg() -> None:
    grey = io.BytesIO()
    Image.new("L", (50, 40), 128).save(grey, "PNG")
    made = prepare(grey.getvalue(), PhotographSection())
    assert made.jpeg.startswith(b"\xff\xd8")
    assert made.pixels.shape == (40, 50, 3)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b"", "is empty"),
        (b"GIF89a" + bytes(50), "neither JPEG nor PNG"),
        (b"\xff\xd8\xff\xe0", "neither JPEG nor PNG"),
    ],
)
def test_what_is_no_picture_is_refused(broken: bytes, says: str) -> None:
    with pytest.raises(BadPhotographError, match=says):
        prepare(broken, PhotographSection())


def test_a_cut_off_picture_is_refused(picture: bytes) -> None:
    with pytest.raises(BadPhotographError, match="cut off or damaged"):
        prepare(picture[: len(picture) // 2], PhotographSection())


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    target = io.BytesIO()
    Image.new("1", (9000, 9000)).save(target, "PNG")
    with pytest.raises(BadPhotographError, match="9000 x 9000 pixels, more than"):
        prepare(target.getvalue(), PhotographSection())


def test_strip_metadata_refuses_a_jpeg_without_a_scan() -> None:
    with pytest.raises(BadPhotographError, match="no picture"):
        strip_metadata(b"\xff\xd8\xff\xd9")


def test_preview_pictures_are_small(picture: bytes) -> None:
    small = Image.open(io.BytesIO(shrink(picture, 200)))
    assert max(small.size) <= 250
