"""Reads an examination code from a preview picture: QR code, Data Matrix or Code 128."""

from __future__ import annotations

from importlib import import_module

from edge.camera.photograph import pixels_of


def read_code(jpeg: bytes) -> str | None:
    """Return the text of the first code in the picture; None if there is none."""
    zxing = import_module("zxingcpp")
    kinds = zxing.BarcodeFormat
    wanted = (kinds.QRCode, kinds.DataMatrix, kinds.Code128)
    found = zxing.read_barcodes(pixels_of(jpeg), formats=wanted)
    return str(found[0].text).strip() if found else None
