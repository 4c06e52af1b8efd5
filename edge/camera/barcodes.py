"""Reads a QR code from a preview picture."""

from __future__ import annotations

from importlib import import_module

from edge.camera.photograph import pixels_of


def read_code(jpeg: bytes) -> str | None:
    """The text of the first QR code in the picture."""
    zxing = import_module("zxingcpp")
    found = zxing.read_barcodes(pixels_of(jpeg), formats=zxing.BarcodeFormat.QRCode)
    return str(found[0].text).strip() if found else None
