"""An authority and its certificates, as cert-manager makes them of k8s/components/cert-manager."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Signs certificates; `ca.crt` is beside each."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, folder: Path, name: str, *, server: bool = False) -> Path:
        """Write tls.crt, tls.key and ca.crt for a name into a folder; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(_name(name), self._name, key).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        pem = serialization.Encoding.PEM
        _write(folder / "tls.crt", builder.sign(self._key, hashes.SHA256()).public_bytes(pem))
        _write(folder / "ca.crt", self.certificate.public_bytes(pem))
        plain = serialization.NoEncryption()
        _write(folder / "tls.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return folder


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )


def _write(path: Path, text: bytes) -> None:
    # Another name first: nginx reads the files at each handshake.
    partial = path.with_suffix(".partial")
    partial.write_bytes(text)
    partial.chmod(0o644)
    partial.replace(path)
