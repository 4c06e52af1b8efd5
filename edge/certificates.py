"""Certificates for mutual TLS: read anew when the files change, and checked before they are used."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class CertificateError(Exception):
    """A certificate that cannot be used; the text names the file, the reason and the way back."""


def check(path: Path, now: float) -> datetime.datetime:
    """When the certificate at `path` ends; CertificateError where it is not valid at `now` (Unix seconds)."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"{path}: no certificate can be read ({error}); put the one your authority signed in its place"
        ) from None
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if moment > end:
        raise CertificateError(f"{path}: expired on {end:%Y-%m-%d}; put a new one and its key in place")
    if moment < begin:
        raise CertificateError(f"{path}: valid only from {begin:%Y-%m-%d}; is the clock right?")
    return end


def make_request(device_id: str) -> tuple[bytes, bytes]:
    """Return a new P-256 private key and a certificate signing request for the device, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, request.public_bytes(serialization.Encoding.PEM)
