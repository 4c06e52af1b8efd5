"""The advice fits drawn pictures exactly, and real ones nearly always."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from edge.camera.photograph import Pixels, pixels_of
from edge.camera.quality import check, measure
from edge.camera.sample import draw
from edge.config import QualitySection

LIMITS = QualitySection()


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def good() -> Image.Image:
    return Image.open(io.BytesIO(draw(1000, 750)))


def test_a_good_photograph_needs_no_advice(good: Image.Image) -> None:
    found = check(pixels(good), LIMITS)
    assert found.good
    assert found.measures.lesion is not None
    assert abs(found.measures.lesion.x - 0.5) < 0.05


def test_each_fault_has_its_advice(good: Image.Image) -> None:
    shiny = pixels(good).copy()
    shiny[200:400, 300:550] = 255
    even = Image.new("RGB", (640, 480), (220, 180, 160))
    faults = {
        "blurred": pixels(good.filter(ImageFilter.GaussianBlur(8))),
        "too_dark": pixels(ImageEnhance.Brightness(good).enhance(0.25)),
        "too_bright": pixels(ImageEnhance.Brightness(good).enhance(3.0)),
        "glare": shiny,
        "no_lesion": pixels(even),
        "off_centre": pixels_of(draw(1000, 750, x=0.93, y=0.9)),
    }
    for advice, picture in faults.items():
        assert advice in check(picture, LIMITS).advice, advice


def test_the_dermoscopes_black_rim_is_no_lesion(good: Image.Image) -> None:
    square = pixels(good.crop((125, 0, 875, 750))).copy()
    rows, columns = np.mgrid[0:750, 0:750]
    square[np.hypot(rows - 375, columns - 375) > 370] = 5
    found = check(square, LIMITS)
    assert found.good, found
    assert found.measures.lesion is not None
    assert found.measures.luminance > 120


def test_any_size_and_shape_is_measured() -> None:
    for size in ((30, 900), (1, 1), (900, 30), (2000, 1500)):
        assert measure(pixels(Image.new("RGB", size, (200, 160, 140)))).luminance > 100


def test_the_limits_are_configuration(good: Image.Image) -> None:
    assert "blurred" in check(pixels(good), QualitySection(focus=1e6)).advice


@pytest.mark.real_data
def test_real_dermoscopic_images_pass_and_their_spoiled_copies_do_not(ham10000: Path) -> None:
    names = sorted((ham10000 / "images").iterdir())[::100]
    real = [Image.open(name).convert("RGB") for name in names]
    assert len(real) == 60

    def share(advice: str, images: list[Image.Image]) -> float:
        found = [check(pixels(image), LIMITS).advice for image in images]
        return sum(not one if advice == "" else advice in one for one in found) / len(found)

    assert share("", real) >= 0.94
    assert share("blurred", [image.filter(ImageFilter.GaussianBlur(1.5)) for image in real]) >= 0.97
    assert share("too_dark", [ImageEnhance.Brightness(image).enhance(0.3) for image in real]) >= 0.97
    bright = [ImageEnhance.Brightness(image).enhance(2.0) for image in real]
    assert share("", bright) <= 0.1


@pytest.mark.real_data
def test_lesions_are_found_where_the_masks_say(segmentation: Path) -> None:
    with (segmentation / "pairs.csv").open() as file:
        names = [row["image_name"] for row in csv.DictReader(file)][::6]
    apart = []
    for name in names:
        image = Image.open(next((segmentation / "images").glob(f"{name}.*")))
        mask = np.asarray(Image.open(next((segmentation / "masks").glob(f"{name}*"))).resize(image.size)) > 0
        rows, columns = np.nonzero(mask)
        lesion = measure(pixels(image)).lesion
        assert lesion is not None, name
        x, y = columns.mean() / image.width, rows.mean() / image.height
        apart.append(float(np.hypot(lesion.x - x, lesion.y - y)))
    assert np.median(apart) < 0.05
    assert np.percentile(apart, 85) < 0.15
