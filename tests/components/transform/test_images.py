"""Decoding: every sort of picture becomes the same square uint8 picture, or an InvalidArgumentError."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.transform import images


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int, height: int, mode: str = "RGB") -> Image.Image:
    ys, xs = np.mgrid[0:height, 0:width]
    rgb = np.stack([xs * 255 / width, ys * 255 / height, np.full_like(xs, 90)], axis=-1)
    return Image.fromarray(rgb.astype(np.uint8)).convert(mode)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("JPEG", "RGB"), ("PNG", "RGBA"), ("BMP", "RGB")])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (300, 200), (31, 257)])
def test_any_size_and_kind_gives_the_same_picture(kind: str, mode: str, width: int, height: int) -> None:
    found = images.decode(tf.constant(encoded(gradient(width, height, mode), kind)), 32).numpy()
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    wanted = np.asarray(gradient(width, height).resize((32, 32), Image.Resampling.BILINEAR), np.int32)
    # Pillow's bilinear has the same antialiasing triangle; JPEG adds its own few levels.
    assert np.abs(found.astype(np.int32) - wanted).max() <= (8 if kind == "JPEG" else 2)


def test_grey_pictures_get_three_equal_channels() -> None:
    for kind in ("JPEG", "PNG"):
        found = images.decode(tf.constant(encoded(gradient(50, 40, "L"), kind)), 16).numpy()
        assert (found == found[..., :1]).all()


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    picture = gradient(24, 24)
    found = images.decode(tf.constant(encoded(picture, "PNG")), 24).numpy()
    np.testing.assert_array_equal(found, np.asarray(picture))


def test_batches_in_a_graph_equal_single_pictures() -> None:
    files = [encoded(gradient(40 + 7 * i, 30), "JPEG") for i in range(3)]
    batch = tf.function(lambda b: images.decode_batch(b, 20))(tf.constant(files))
    for row, file in zip(batch.numpy(), files, strict=True):
        np.testing.assert_array_equal(row, images.decode(tf.constant(file), 20).numpy())


@pytest.mark.parametrize(
    "broken",
    [b"", b"hello", encoded(gradient(40, 40), "JPEG")[:200], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"],
    ids=["empty", "text", "truncated", "png without header", "jpeg without header"],
)
def test_broken_bytes_are_an_invalid_argument(broken: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode(tf.constant(broken), 32)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(tf.errors.InvalidArgumentError, match="claims"):
        images.decode(tf.constant(b"\x89PNG\r\n\x1a\n" + chunk), 32)


def test_view_keeps_pixels_of_the_same_size_and_averages_larger_ones() -> None:
    pictures = tf.constant(np.asarray(gradient(64, 64))[None])
    np.testing.assert_array_equal(images.view(pictures, 64).numpy(), pictures.numpy().astype(np.float32))
    small = images.view(pictures, 16)
    assert small.shape == (1, 16, 16, 3)
    np.testing.assert_allclose(tf.reduce_mean(small), np.mean(pictures), atol=1.0)
    assert images.view_uint8(pictures, 16).dtype == tf.uint8


def test_neutral_light_takes_a_lamps_colour_out() -> None:
    pixels = np.random.default_rng(3).uniform(20.0, 150.0, [2, 16, 16, 3]).astype(np.float32)
    lamp = np.array([1.3, 1.0, 0.8], np.float32)
    plain, lit = (images.neutral_light(tf.constant(one)).numpy() for one in (pixels, pixels * lamp))
    # What the lamp multiplies is gone but for one factor of brightness.
    ratio = lit / plain
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1, :1], ratio.shape), rtol=1e-4)
    np.testing.assert_allclose(ratio, 1.0, atol=0.1)


@pytest.mark.parametrize("grey", [0.0, 1.0, 128.0, 255.0])
def test_neutral_light_leaves_grey_alone(grey: float) -> None:
    pixels = tf.fill([1, 8, 8, 3], grey)
    np.testing.assert_allclose(images.neutral_light(pixels).numpy(), grey, rtol=1e-5)
