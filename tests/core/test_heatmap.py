import io

import numpy as np
import pytest
from PIL import Image

from core.heatmap import paint


def encoded(size=(60, 40), colour=(90, 90, 90)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture.convert("RGB"), np.int16)


def test_what_is_hot_is_red_and_what_is_cold_is_the_photograph():
    heat = np.zeros((7, 7), np.float32)
    heat[:, 5:] = 3.0
    found = pixels(paint(encoded(), heat))
    assert found.shape == (40, 60, 3)
    assert np.abs(found[20, 5] - 90).max() < 12
    assert found[20, 57, 0] > 170
    assert found[20, 57, 1] < 80


def test_a_flat_map_leaves_the_photograph():
    assert np.abs(pixels(paint(encoded(), np.full((3, 3), 0.5, np.float32))) - 90).max() < 8


def test_the_longest_side_can_be_bounded():
    assert pixels(paint(encoded((600, 300)), np.eye(4, dtype=np.float32), side=100)).shape == (50, 100, 3)


def test_a_finished_picture_is_passed_on():
    assert pixels(paint(b"", encoded((10, 10), (200, 10, 10))))[5, 5, 0] > 180


def test_what_is_no_picture_is_an_os_error():
    with pytest.raises(OSError, match="cannot identify"):
        paint(b"nothing", np.zeros((2, 2), np.float32))
