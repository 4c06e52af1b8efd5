from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from components.ingest import picture
from components.ingest.picture import Limits
from core.images.decode import ImageRefusedError
from core.images.normalise import normalise

LIMITS = Limits(max_bytes=1_000_000, max_pixels=50_000_000, min_side=48, max_side=None, jpeg_quality=95)
VL_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.4"


def dicom(
    pixels: np.ndarray[Any, Any], syntax: UID, interpretation: str, content: bytes | None = None
) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = UID(VL_IMAGE)
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset = FileDataset("x.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "12345"
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = interpretation
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.PixelData = pixels.tobytes() if content is None else encapsulate([content])
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["raw", "ybr", "jpeg", "jpeg2000", "rle", "grey", "deep", "inverted"])
def test_dicom_becomes_a_jpeg_of_the_picture_alone(
    kind: str, photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    image = photo(3)
    colour, grey = np.asarray(image), np.asarray(image.convert("L"))
    data = {
        "raw": lambda: dicom(colour, ExplicitVRLittleEndian, "RGB"),
        "ybr": lambda: dicom(
            convert_color_space(colour, "RGB", "YBR_FULL"), ExplicitVRLittleEndian, "YBR_FULL"
        ),
        "jpeg": lambda: dicom(
            colour, JPEGBaseline8Bit, "YBR_FULL_422", encode(image, quality=95, subsampling=1)
        ),
        "jpeg2000": lambda: dicom(
            colour, JPEG2000Lossless, "YBR_RCT", encode(image, "JPEG2000", no_jp2=True)
        ),
        "rle": lambda: dicom(colour, RLELossless, "RGB"),
        "grey": lambda: dicom(grey, ExplicitVRLittleEndian, "MONOCHROME2"),
        "deep": lambda: dicom(grey.astype(np.uint16) * 16, ExplicitVRLittleEndian, "MONOCHROME2"),
        "inverted": lambda: dicom(255 - grey, ExplicitVRLittleEndian, "MONOCHROME1"),
    }[kind]()
    checked = picture.check(data, LIMITS)
    assert checked.converted == "format DICOM"
    assert checked.jpeg is not None
    assert b"Jane" not in checked.jpeg
    found = np.asarray(Image.open(io.BytesIO(checked.jpeg)).convert("RGB"), int)
    wanted = colour if kind in {"raw", "ybr", "jpeg", "jpeg2000", "rle"} else np.stack([grey] * 3, 2)
    if kind == "deep":
        wanted = (wanted.astype(float) - wanted.min()) * 255 / (wanted.max() - wanted.min())
    assert np.abs(found - wanted).mean() < 4


def test_dicom_that_is_no_picture_says_so(photo: Callable[..., Image.Image]) -> None:
    colour = np.asarray(photo(3))
    data = dicom(colour, ExplicitVRLittleEndian, "RGB")
    for broken, reason in (
        (data[:400], "not_an_image"),
        (data[: len(data) // 2], "corrupt"),
        (bytes(128) + b"DICM", "not_an_image"),
        (dicom(colour.astype(np.uint16), ExplicitVRLittleEndian, "RGB"), "unsupported"),
    ):
        with pytest.raises(ImageRefusedError) as refused:
            picture.check(broken, LIMITS)
        assert refused.value.reason == reason, refused.value.detail


@pytest.mark.parametrize(
    "kind", [*(f"orientation {n}" for n in range(1, 9)), "CMYK", "P", "LA", "RGBA", "I;16", "1", "L"]
)
def test_ingest_writes_what_is_sent_to_a_model(
    kind: str, photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    image, options = photo(7), {}
    if kind.startswith("orientation"):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = int(kind[-1])
    elif kind == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    else:
        image = image.convert(kind)
    data = encode(image, "JPEG" if options or kind in {"CMYK", "L"} else "PNG", **options)
    assert (picture.check(data, LIMITS).jpeg or data) == normalise(data).data


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "HEIF", "WEBP", "TIFF", "BMP", "GIF", "PNG"])
def test_formats_become_jpegs(
    kind: str, photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    image = photo(5)
    if kind == "HEIF":
        stream = io.BytesIO()
        pillow_heif.from_pillow(image).save(stream, quality=95)
        data = stream.getvalue()
    else:
        data = encode(image, kind, **({"quality": 95} if kind in {"AVIF", "WEBP"} else {}))
    checked = picture.check(data, LIMITS)
    assert checked.converted == f"format {kind}"
    assert checked.jpeg is not None
    assert picture.as_jpeg(data) == checked.jpeg
    found = np.asarray(Image.open(io.BytesIO(checked.jpeg)), int)
    assert np.abs(found - np.asarray(image, int)).mean() < (25 if kind == "GIF" else 5)
