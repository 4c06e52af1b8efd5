"""Images are looked at before TensorFlow decodes them, on every way that leads to a decoder.

An input named `image_bytes` must hold images; each is brought to the bytes that ingest would have written (upright,
RGB), because TensorFlow's decoders read rotation, transparency, palettes and CMYK in another way. Bytes in other
string inputs and in tf.Examples are checked for their size if they begin as an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from core.features import IMAGE_BYTES
from core.images.decode import ImageRefusedError
from core.images.header import HeaderError, read_header
from core.images.normalise import normalise
from core.protos.tensor_pb2 import DT_STRING
from serving.operations.memory import Reservation
from serving.operations.metrics import Metrics
from serving.options import Options
from serving.protos import Example
from serving.status import invalid_argument

_JPEG_OR_PNG = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_GIF = (b"GIF87a", b"GIF89a")
# The field `features` of a tf.Example.
_EXAMPLE = b"\x0a"
# A decoded pixel: three bytes, and as long as the copy to another size is made, three floats.
_PIXEL_BYTES = 3


class ImageGuard:
    """Checks the images of one request, which are decoded in its `memory`."""

    def __init__(self, options: Options, metrics: Metrics, memory: Reservation) -> None:
        self._options = options
        self._metrics = metrics
        self._memory = memory
        self._seen_pixels = 0

    def check(self, request: Any) -> Any:
        """Look at each image of a PredictRequest.

        Args:
            request: The request; it is not changed.

        Returns:
            The request to run: another one if images had to be converted.

        Raises:
            ServingError: INVALID_ARGUMENT `ALIAS[INDEX] ...`.
        """
        for alias, tensor in request.inputs.items():
            if tensor.dtype == DT_STRING and alias != IMAGE_BYTES:
                for index, data in enumerate(tensor.string_val):
                    self._look(f"{alias}[{index}]", data)
        if IMAGE_BYTES in request.inputs and request.inputs[IMAGE_BYTES].dtype == DT_STRING:
            changed = self._images(request.inputs[IMAGE_BYTES])
            if changed:
                converted = type(request)()
                converted.CopyFrom(request)
                for index, data in changed.items():
                    converted.inputs[IMAGE_BYTES].string_val[index] = data
                return converted
        return request

    def check_examples(self, examples: Iterable[Any]) -> None:
        """Look at each image in the tf.Examples of a request.

        Raises:
            ServingError: INVALID_ARGUMENT `examples[INDEX].FEATURE ...`.
        """
        for index, example in enumerate(examples):
            for name, data in _byte_values(example):
                self._look(f"examples[{index}].{name}", data, within_example=True)

    def _images(self, tensor: Any) -> dict[int, bytes]:
        """Check a tensor of images; what must be sent in their place, by index."""
        # TensorFlow would read the first, and repeat the last value of the second, past this check.
        if tensor.tensor_content:
            text = "comes as tensor_content: send images in string_val, one a value"
            self._refuse("format", f"{IMAGE_BYTES}[0]", text)
        wanted = math.prod(max(0, dim.size) for dim in tensor.tensor_shape.dim)
        if len(tensor.string_val) != wanted:
            text = f"comes with {len(tensor.string_val)} values for a shape of {wanted}"
            self._refuse("format", f"{IMAGE_BYTES}[0]", text)
        options, changed = self._options, {}
        for index, data in enumerate(tensor.string_val):
            where = f"{IMAGE_BYTES}[{index}]"
            self._bytes(where, data)
            try:
                header = read_header(data)
                self._pixels(where, header.width, header.height)
                image = normalise(
                    data, max_bytes=options.image_max_bytes, max_pixels=options.image_max_pixels
                )
            except (HeaderError, ImageRefusedError) as error:
                self._refuse("format", where, str(error))
                continue
            if image.converted:
                changed[index] = image.data
        return changed

    def _look(self, where: str, data: bytes, *, within_example: bool = False) -> None:
        """Check the size of what begins as an image; other bytes are none of the guard's business."""
        if data.startswith(_JPEG_OR_PNG):
            self._bytes(where, data)
            try:
                header = read_header(data)
            except HeaderError:
                return  # a decoder will say so
            self._pixels(where, header.width, header.height)
        elif data.startswith(_GIF):
            self._refuse("format", where, "is a GIF: send JPEG or PNG")
        elif data.startswith(_EXAMPLE) and not within_example:
            try:
                example = Example.FromString(data)
            except DecodeError:
                return
            for name, value in _byte_values(example):
                self._look(f"{where}.{name}", value, within_example=True)

    def _bytes(self, where: str, data: bytes) -> None:
        most = self._options.image_max_bytes
        if len(data) > most:
            self._refuse("bytes", where, f"has {len(data)} bytes, more than {most}")

    def _pixels(self, where: str, width: int, height: int) -> None:
        most = self._options.image_max_pixels
        if width * height > most:
            self._refuse("pixels", where, f"has {width} x {height} pixels, more than {most} in all")
        self._seen_pixels += width * height
        most = self._options.image_max_batch_pixels
        if self._seen_pixels > most:
            text = f"takes the request to {self._seen_pixels} pixels, more than {most}"
            self._refuse("batch_pixels", where, text)
        self._memory.take(_PIXEL_BYTES * width * height)

    def _refuse(self, reason: str, where: str, text: str) -> None:
        self._metrics.images_refused.add(reason)
        raise invalid_argument(f"{where} {text}")


def _byte_values(example: Any) -> Iterator[tuple[str, bytes]]:
    for name, feature in example.features.feature.items():
        if feature.WhichOneof("kind") == "bytes_list":
            for value in feature.bytes_list.value:
                yield name, value
