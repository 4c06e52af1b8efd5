"""Images are looked at before TensorFlow decodes them: what is no image, or too large a one, never gets there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.images.header import HeaderError, read_header
from core.protos.tensor_pb2 import DT_STRING
from serving.engine.model import Model
from serving.operations.metrics import Metrics
from serving.status import invalid_argument


@dataclass(frozen=True)
class ImageLimits:
    """How large an image may be; pixels bound what decoding needs, 3 bytes each and as floats 12."""

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    max_batch_pixels: int = 400_000_000


class ImageGuard:
    """Checks every string input whose alias is `image_bytes`."""

    ALIAS = "image_bytes"

    def __init__(self, limits: ImageLimits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics

    def check(self, model: Model, request: Any) -> None:
        """Look at each image of a PredictRequest.

        Raises:
            ServingError: INVALID_ARGUMENT `image_bytes[INDEX] ...`.
        """
        del model
        if self.ALIAS not in request.inputs:
            return
        tensor = request.inputs[self.ALIAS]
        if tensor.dtype != DT_STRING:
            return
        # TensorFlow would read the first, and repeat the last value of the second, past this check.
        if tensor.tensor_content:
            self._refuse("format", 0, "comes as tensor_content: send images in string_val, one a value")
        count = math.prod(max(0, dim.size) for dim in tensor.tensor_shape.dim)
        if len(tensor.string_val) != count:
            self._refuse("format", 0, f"comes with {len(tensor.string_val)} values for a shape of {count}")
        total = 0
        for index, data in enumerate(tensor.string_val):
            total += self._pixels(index, data)
            if total > self._limits.max_batch_pixels:
                self._refuse(
                    "batch_pixels",
                    index,
                    f"takes the request to {total} pixels, more than {self._limits.max_batch_pixels}",
                )

    def _pixels(self, index: int, data: bytes) -> int:
        limits = self._limits
        if len(data) > limits.max_bytes:
            self._refuse("bytes", index, f"has {len(data)} bytes, more than {limits.max_bytes}")
        try:
            header = read_header(data)
        except HeaderError as error:
            self._refuse("format", index, str(error))
            return 0
        if header.pixels > limits.max_pixels:
            self._refuse(
                "pixels",
                index,
                f"has {header.width} x {header.height} pixels, more than {limits.max_pixels} in all",
            )
        return header.pixels

    def _refuse(self, reason: str, index: int, text: str) -> None:
        self._metrics.images_refused.add(reason)
        raise invalid_argument(f"{self.ALIAS}[{index}] {text}")
