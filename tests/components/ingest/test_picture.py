from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.ingest import picture
from components.ingest.picture import Checked, Limits, RefusedError
from components.ingest.row import REASONS

LIMITS = Limits(max_bytes=1_000_000, max_pixels=50_000_000, min_side=48, max_side=None, jpeg_quality=95)


@pytest.mark.parametrize("seed", range(7))
def test_hostile_files_are_refused_for_the_right_reason_or_made_readable(
    seed: int, hostile: Callable[[int], list[Any]]
) -> None:
    for what, _, data, expected in hostile(seed):
        checked, reason, detail = _verdict(data)
        if checked is None:
            assert reason in REASONS, what
            assert expected in ("*", reason) or not data, (what, reason, detail)
            assert detail, what
            continue
        assert expected == "", what
        decoded = tf.io.decode_jpeg(checked.jpeg or data, channels=3)
        assert decoded.shape == (checked.height, checked.width, 3), what


def _verdict(data: bytes) -> tuple[Checked | None, str, str]:
    try:
        return picture.check(data, LIMITS), "", ""
    except RefusedError as refused:
        return None, refused.reason, refused.detail


def test_jpeg_bytes_pass_unchanged(photo: Callable[..., Image.Image], encode: Callable[..., bytes]) -> None:
    for options in ({}, {"progressive": True}, {"quality": 30}, {"comment": b"a note"}):
        assert picture.check(encode(photo(1), **options), LIMITS).jpeg is None
    assert picture.check(encode(photo(1).convert("L")), LIMITS).jpeg is None


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_written_upright(
    orientation: int, photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    upright = photo(3, 96, 64)
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undone[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    checked = picture.check(encode(stored, quality=98, subsampling=0, exif=exif), LIMITS)
    assert checked.jpeg is not None
    assert checked.converted == "orientation"
    decoded = np.asarray(tf.io.decode_jpeg(checked.jpeg, channels=3), int)
    assert decoded.shape == (64, 96, 3)
    assert np.abs(decoded - np.asarray(upright, int)).mean() < 3


def test_max_side_shrinks_and_keeps_the_aspect(
    photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    limits = Limits(1_000_000, 50_000_000, 48, 100, 95)
    checked = picture.check(encode(photo(1, 600, 300)), limits)
    assert (checked.width, checked.height, checked.converted) == (100, 50, "max_side")
    assert checked.jpeg is not None
    assert Image.open(io.BytesIO(checked.jpeg)).size == (100, 50)
    assert picture.check(encode(photo(1, 100, 50)), limits).jpeg is None


def test_transparency_lies_on_white_and_16_bits_keep_their_upper_8(encode: Callable[..., bytes]) -> None:
    clear = Image.new("RGBA", (64, 64), (200, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 32, 64))
    shown = _pixels(picture.check(encode(clear, "PNG"), LIMITS).jpeg)
    assert shown[32, 5].min() > 240
    assert abs(int(shown[32, 60, 0]) - 200) < 6
    deep = Image.fromarray(np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1)))
    ramp = _pixels(picture.check(encode(deep, "PNG"), LIMITS).jpeg)
    assert ramp[0, 0, 0] < 5
    assert ramp[0, 63, 0] > 250
    assert abs(int(ramp[0, 32, 0]) - 129) < 6


def _pixels(jpeg: bytes | None) -> np.ndarray:
    assert jpeg is not None
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def test_files_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "big.jpg").write_bytes(bytes(1001))
    (tmp_path / "link.jpg").symlink_to(tmp_path / "absent")
    reasons = {}
    for name in ("pipe.jpg", "folder.jpg", "big.jpg", "link.jpg", "nul\0.jpg"):
        with pytest.raises(RefusedError) as refused:
            picture.read(str(tmp_path / name), max_bytes=1000)
        reasons[name] = refused.value.reason
    assert reasons == {
        "pipe.jpg": "unreadable",
        "folder.jpg": "unreadable",
        "big.jpg": "too_large",
        "link.jpg": "missing_file",
        "nul\0.jpg": "unreadable",
    }


def test_a_bomb_is_refused_from_its_header(png_header: Callable[[int, int], bytes]) -> None:
    with pytest.raises(RefusedError) as refused:
        picture.check(png_header(8_000, 8_000), LIMITS)
    assert refused.value.reason == "too_many_pixels"
    assert "8000 x 8000" in refused.value.detail
