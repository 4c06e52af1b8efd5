"""Slices that are seen in the picture itself."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from components.evaluator.picture import image_quality, look, skin_tone, typology_angle

SIDE = 224


def lesion_on(skin, corners=False):
    """A dark disc on plain skin, with a dermatoscope's black corners if asked."""
    pixels = np.full((SIDE, SIDE, 3), skin, np.uint8)
    ys, xs = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    distance = np.hypot(ys, xs)
    pixels[distance < 50] = (90, 50, 40)
    if corners:
        pixels[distance > 125] = 2
    return pixels


def jpeg(image):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.mark.parametrize(
    ("skin", "tone"),
    [
        ((245, 222, 205), "very light"),
        ((215, 178, 145), "light"),
        ((195, 155, 120), "intermediate"),
        ((170, 130, 100), "tan"),
        ((125, 90, 65), "brown"),
        ((60, 42, 32), "dark"),
    ],
)
@pytest.mark.parametrize("corners", [False, True])
def test_darker_skin_falls_into_a_darker_band(skin, tone, corners):
    assert skin_tone(lesion_on(skin, corners)) == tone


def test_the_angle_is_the_one_of_the_literature():
    # L* = 70.9, b* = 16.3 of this colour (sRGB, D65): atan(20.9 / 16.3).
    flat = np.full((40, 40, 3), (205, 165, 145), np.uint8)
    assert typology_angle(flat) == pytest.approx(52.0, abs=1.0)


def test_a_picture_without_skin_has_no_tone():
    assert skin_tone(np.zeros((SIDE, SIDE, 3), np.uint8)) == "unknown"


def test_bytes_that_are_no_picture_are_unknown():
    assert look(b"nothing") == ("unknown", "unknown")


def test_a_dark_picture_is_dim():
    assert image_quality(lesion_on((80, 60, 50))) == "dim"


def test_hair_is_seen():
    pixels = lesion_on((205, 165, 145))
    for column in range(10, SIDE, 25):
        pixels[:, column : column + 2] = 20
    assert image_quality(pixels) == "hairy"


def test_real_lesions_are_mostly_ordinary_and_fail_where_they_are_spoilt(ham10000):
    files = sorted((ham10000 / "images").glob("*.jpg"))[::60][:100]
    images = [Image.open(file).convert("RGB") for file in files]
    plain = Counter(look(jpeg(image)).image_quality for image in images)
    assert plain["ordinary"] >= 60
    soft = Counter(look(jpeg(image.filter(ImageFilter.GaussianBlur(2)))).image_quality for image in images)
    assert soft["soft"] >= 80
    dim = Counter(look(jpeg(ImageEnhance.Brightness(image).enhance(0.5))).image_quality for image in images)
    assert dim["dim"] >= 90
    tones = Counter(look(jpeg(image)).skin_tone for image in images)
    assert tones["unknown"] == 0
    assert len(tones) >= 3
