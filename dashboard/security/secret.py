"""The dashboard's secret key, and what is derived from it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from dashboard.settings import SettingsError

BYTES = 32


class Secret:
    """A key in a file that only its owner reads; each use has a key of its own."""

    def __init__(self, path: Path) -> None:
        """Make the file where it is missing. Raises SettingsError where it cannot be used."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                with os.fdopen(handle, "wb") as stream:
                    stream.write(secrets.token_bytes(BYTES))
            self._key = path.read_bytes()
        except FileExistsError:  # another process made it in between
            self._key = path.read_bytes()
        except OSError as error:
            raise SettingsError(
                f"{path}: the secret key cannot be read or made: {error.strerror}; is state_dir writable?"
            ) from None
        if len(self._key) != BYTES:
            raise SettingsError(
                f"{path}: holds {len(self._key)} bytes, not {BYTES}; restore it from a backup"
            )

    def sign(self, use: str, message: str) -> str:
        """Hex HMAC-SHA256 of a message for one use."""
        key = hmac.digest(self._key, use.encode(), "sha256")
        return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()

    def verify(self, use: str, message: str, signature: str) -> bool:
        """True for the signature that :meth:`sign` gives."""
        return hmac.compare_digest(self.sign(use, message).encode(), signature.encode())


def digest(token: str) -> str:
    """What the database keeps of a random token: it has 256 bits, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()
