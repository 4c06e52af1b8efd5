from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.ingest import picture
from components.ingest.picture import Checked, Limits
from components.ingest.row import REASONS
from core.images.decode import ImageRefusedError

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
    except ImageRefusedError as refused:
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
        with pytest.raises(ImageRefusedError) as refused:
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
    with pytest.raises(ImageRefusedError) as refused:
        picture.check(png_header(8_000, 8_000), LIMITS)
    assert refused.value.reason == "too_many_pixels"
    assert "8000 x 8000" in refused.value.detail


def damaged(jpeg: bytes, seed: int) -> list[tuple[str, bytes]]:
    """Ways in which copying, disks and cut transfers damage a JPEG."""
    chance = random.Random(seed)
    cases = [
        ("no end marker", jpeg[:-2]),
        ("no end marker, zeros", jpeg[:-2] + bytes(500)),
        ("half", jpeg[: len(jpeg) // 2]),
        ("half, zeros", jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 2)),
    ]
    for count in (1, 3, 10):
        flipped = bytearray(jpeg)
        for _ in range(count):
            flipped[chance.randrange(2, len(jpeg))] = chance.randrange(256)
        cases.append((f"{count} bytes overwritten", bytes(flipped)))
    at = chance.randrange(700, len(jpeg) - 200)
    return [*cases, ("a hole", jpeg[:at] + jpeg[at + chance.randrange(1, 100) :])]


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 4}],
    ids=["baseline", "progressive", "restarts"],
)
def test_what_passes_of_damaged_jpegs_is_what_tensorflow_decodes(
    options: dict[str, Any], photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    refused = 0
    for seed in range(25):
        jpeg = encode(photo(seed, 160, 120), quality=90, **options)
        for what, data in damaged(jpeg, seed):
            checked, reason, detail = _verdict(data)
            if checked is None:
                refused += 1
                assert reason in {"truncated", "corrupt", "not_an_image", "too_many_pixels", "wrong_size"}, (
                    what
                )
                assert detail, what
            else:
                assert what not in {"no end marker", "no end marker, zeros", "half", "half, zeros"}, what
                assert tf.io.decode_jpeg(checked.jpeg or data, channels=3).shape[2] == 3, (what, seed)
    assert refused >= 4 * 25


def test_padding_and_trailing_bytes_are_no_damage(
    photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    jpeg = encode(photo(1), quality=90)
    for data in (
        jpeg + b"camera note" * 9,
        jpeg[:-2] + bytes(7) + jpeg[-2:],
        jpeg[:-2] + b"\xff" * 5 + jpeg[-2:],
    ):
        assert picture.check(data, LIMITS).jpeg is None
        assert tf.io.decode_jpeg(data, channels=3).shape[2] == 3
