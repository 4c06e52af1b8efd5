"""DICOM files: the picture alone; nothing of the patient module is read."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from PIL import Image

from core.images.decode import ImageRefusedError

FORMAT: Final = "DICOM"
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")


def open_image(data: bytes, *, max_bytes: int, max_pixels: int) -> Image.Image:
    """Decode a single-frame colour or grey DICOM image: dermoscopic VL images, any transfer syntax pydicom decodes.

    The samples become 8 bits a channel; a grey one is stretched between its smallest and its largest value only where
    it has more than 8 bits stored.

    Raises:
        ImageRefusedError: it is not such an image, or is too large.
    """
    # Imported here because few data sets are DICOM.
    import pydicom
    from pydicom.errors import InvalidDicomError

    if len(data) > max_bytes:
        raise ImageRefusedError("too_large", f"has {len(data)} bytes, more than {max_bytes}")
    try:
        dataset: Any = pydicom.dcmread(io.BytesIO(data))
        width, height = int(dataset.Columns), int(dataset.Rows)
    except (InvalidDicomError, AttributeError, ValueError, TypeError, EOFError) as error:
        raise ImageRefusedError("not_an_image", f"is DICOM without a picture: {error}") from None
    if width * height > max_pixels:
        raise ImageRefusedError(
            "too_many_pixels", f"has {width} x {height} pixels, more than {max_pixels} in all"
        )
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        raise ImageRefusedError("animated", f"{dataset.NumberOfFrames} pictures in one DICOM file")
    try:
        pixels = np.asarray(dataset.pixel_array)
    # pydicom's decoders raise almost anything on broken data or a codec that is not there.
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ImageRefusedError("corrupt", f"cannot be decoded: {text}") from None
    image = Image.fromarray(_eight_bits(pixels, dataset))
    image.format = FORMAT
    return image


def _eight_bits(pixels: np.ndarray[Any, Any], dataset: Any) -> np.ndarray[Any, Any]:
    interpretation = str(dataset.get("PhotometricInterpretation", ""))
    bits = int(dataset.get("BitsStored", 8))
    if pixels.ndim == 2 and interpretation in _GREY:
        if bits > 8:
            low, high = int(pixels.min()), int(pixels.max())
            pixels = (pixels.astype(np.float32) - low) * (255.0 / max(1, high - low))
        grey = pixels.clip(0, 255).astype(np.uint8)
        return 255 - grey if interpretation == "MONOCHROME1" else grey
    if pixels.ndim == 3 and pixels.shape[2] == 3 and bits <= 8:
        # pydicom has brought YBR samples to RGB.
        return pixels.astype(np.uint8)
    raise ImageRefusedError("unsupported", f"has {bits}-bit {interpretation or 'unnamed'} pixels")
