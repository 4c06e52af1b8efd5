"""Encryption at rest: AES-256-GCM with a key from a file.

The key file is the only secret: kept on another partition, on a USB stick or handed over by systemd's
credentials, a stolen card shows nothing. Losing it loses what was not sent.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import UsageError
from core.files import sync_folder

MAGIC = b"MZE1"
NONCE = 12
KEY = 32


class KeyFileError(UsageError):
    """The key file is missing, readable by others, or no key; the text says the way out."""


class DamagedError(Exception):
    """Sealed bytes that were changed, cut off, or sealed with another key."""


class Encryptor:
    """Seals and opens bytes under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise KeyFileError(f"a key has {KEY} bytes, this one {len(key)}")
        self._aead = AESGCM(key)

    def encrypt(self, plain: bytes, name: str) -> bytes:
        """`plain`, encrypted and bound to `name`: a sealed file cannot pass for another."""
        nonce = secrets.token_bytes(NONCE)
        return MAGIC + nonce + self._aead.encrypt(nonce, plain, name.encode())

    def decrypt(self, sealed: bytes, name: str) -> bytes:
        """Return the plain bytes; DamagedError when even one bit differs from what was sealed as `name`."""
        if sealed[:4] != MAGIC:
            raise DamagedError(f"{name}: no sealed record")
        try:
            return self._aead.decrypt(sealed[4 : 4 + NONCE], sealed[4 + NONCE :], name.encode())
        except (InvalidTag, ValueError):
            raise DamagedError(f"{name}: damaged, or sealed with another key") from None


def load_key(path: Path) -> bytes:
    """Return the key in `path` (64 hexadecimal digits); KeyFileError when it is missing or others may read it."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no key yet; make one with `melanosizer-edge enroll`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: cannot be read: {error}") from None
    if not text:
        raise KeyFileError(
            f"{path}: the key file is empty, as a power cut can leave it: put your copy of it back, or start "
            "with an empty state folder (--state DIR)"
        )
    if mode & 0o077:
        raise KeyFileError(f"{path}: others may read it (mode {mode:o}); run `chmod 600 {path}`")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise KeyFileError(f"{path}: no key; valid: {KEY * 2} hexadecimal digits") from None
    if len(key) != KEY:
        raise KeyFileError(f"{path}: a key has {KEY * 2} hexadecimal digits, this one {len(text)}")
    return key


def make_key(path: Path) -> bytes:
    """Write a new random key, readable by its owner alone; never overwrites one, but takes an empty file's place."""
    key = secrets.token_bytes(KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.stat().st_size:
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return key
