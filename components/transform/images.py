"""The one decode-and-resize of the project: Transform, the training cache and both signatures call it.

Bytes become a square uint8 picture (`decode`), a picture becomes the network's input size (`view`). Aspect
ratios are squashed, as the public training sets were; both resizes are bilinear with antialiasing (a triangle
kernel as wide as the reduction), so a 12-megapixel photograph and its thumbnail give the same picture. The
first resize is rounded to uint8 because the training cache stores uint8: serving rounds at the same place.
"""

from __future__ import annotations

from typing import Final

import tensorflow as tf

MAX_PIXELS: Final = 100_000_000  # the largest medical cameras have 60 million; a bomb claims 900 million
_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC: Final = b"\xff\xd8\xff"


def decode(image_bytes: tf.Tensor, size: int) -> tf.Tensor:
    """JPEG, PNG, BMP or GIF (first frame) bytes (string scalar) as uint8 [size, size, 3].

    Grey pictures become RGB, alpha is dropped, 16-bit PNGs are read as 8-bit.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no such picture, or claim more than MAX_PIXELS.
    """
    picture = decode_whole(image_bytes)
    shape = tf.shape(picture)

    def resized() -> tf.Tensor:
        return _to_uint8(tf.image.resize(picture, [size, size], method="bilinear", antialias=True))

    # A picture that has the size already, as ingest writes them, would come out of the resize as it is.
    result = tf.cond(tf.logical_and(shape[0] == size, shape[1] == size), lambda: picture, resized)
    return tf.ensure_shape(result, [size, size, 3])


def decode_whole(image_bytes: tf.Tensor) -> tf.Tensor:
    """The same bytes at the picture's own size: uint8 [height, width, 3]; raises as `decode` does."""
    with tf.control_dependencies([_refuse_bombs(image_bytes)]):
        picture = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    picture.set_shape([None, None, 3])
    return picture


def decode_batch(image_bytes: tf.Tensor, size: int) -> tf.Tensor:
    """Encoded pictures (string [batch]) as uint8 [batch, size, size, 3]; raises as `decode` does."""
    return tf.map_fn(
        lambda one: decode(one, size),
        image_bytes,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
        parallel_iterations=4,
    )


def view(pictures: tf.Tensor, size: int) -> tf.Tensor:
    """uint8 [batch, s, s, 3] at a network's input size: float32 [batch, size, size, 3] in 0..255."""
    floats = tf.cast(pictures, tf.float32)
    if pictures.shape[1] == size and pictures.shape[2] == size:
        return floats
    return tf.image.resize(floats, [size, size], method="bilinear", antialias=True)


def neutral_light(pixels: tf.Tensor) -> tf.Tensor:
    """Divide out the colour of the light, estimated from the bright pixels: shades of grey of Minkowski norm 6.

    `pixels` and the answer are float32 [batch, h, w, 3] in 0..255; a lamp's or camera's colour cast is gone, the
    brightness is about the same.

    Source: Finlayson and Trezzi, "Shades of gray and colour constancy", 2004; for dermoscopy Barata, Celebi and
    Marques, "Improving dermoscopy image classification using color constancy", 2015.
    """
    squares = tf.square(pixels / 255.0)
    sixths = tf.reduce_mean(squares * squares * squares, axis=[1, 2], keepdims=True)
    light = tf.pow(tf.maximum(sixths, 1e-9), 1.0 / 6.0)
    grey = tf.sqrt(tf.reduce_mean(tf.square(light), axis=3, keepdims=True))
    return tf.minimum(pixels * (grey / light), 255.0)


def view_uint8(pictures: tf.Tensor, size: int) -> tf.Tensor:
    """`view`, rounded back to uint8 for a cache."""
    return _to_uint8(view(pictures, size))


def _to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)


def _refuse_bombs(image_bytes: tf.Tensor) -> tf.Operation:
    """Reads the size that a PNG or JPEG header claims, before a decoder allocates it."""
    width, height = _claimed_size(image_bytes)
    return tf.debugging.Assert(
        width * height <= MAX_PIXELS,
        ["The picture claims", width, "x", height, f"pixels; at most {MAX_PIXELS} in all are decoded."],
    )


def _claimed_size(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    def png() -> tf.Tensor:
        # IHDR is always the first chunk: width and height are big-endian at bytes 16..23.
        header = tf.io.decode_raw(tf.strings.substr(image_bytes, 16, 8), tf.uint8)
        digits = tf.reshape(tf.cast(header, tf.int64), [2, 4])
        return tf.reduce_sum(digits * tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64), axis=1)

    def jpeg() -> tf.Tensor:
        return tf.cast(tf.image.extract_jpeg_shape(image_bytes)[:2], tf.int64)

    def other() -> tf.Tensor:
        return tf.zeros([2], tf.int64)  # BMP and GIF decoders read as many bytes as they claim

    # substr refuses a start outside the string, but a start of 0 is fine even for an empty one.
    is_png = tf.logical_and(
        tf.equal(tf.strings.substr(image_bytes, 0, len(_PNG_MAGIC)), _PNG_MAGIC),
        tf.strings.length(image_bytes) >= 24,
    )
    is_jpeg = tf.equal(tf.strings.substr(image_bytes, 0, len(_JPEG_MAGIC)), _JPEG_MAGIC)
    size = tf.cond(is_png, png, lambda: tf.cond(is_jpeg, jpeg, other))
    return size[1], size[0]
