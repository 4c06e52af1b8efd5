"""Passwords: argon2id, and what makes one good enough."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# RFC 9106's second recommended setting: 64 MiB, 3 passes, 4 lanes.
_HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)
# Verified where there is no such account, so that the answer takes as long.
_NOBODY = _HASHER.hash("nobody has this password")
_OBVIOUS = ("password", "melanosizer", "123456", "qwerty", "letmein", "admin")


class WeakPasswordError(ValueError):
    """A password that will not do; the text says why."""


def make(password: str, *, name: str, least: int) -> str:
    """Hash a new password.

    Raises:
        WeakPasswordError: too short, too long, one character, or built on an obvious word.
    """
    if len(password) < least:
        raise WeakPasswordError(f"too short: {len(password)} characters, at least {least} are needed")
    if len(password) > 256:
        raise WeakPasswordError(f"too long: {len(password)} characters, at most 256 are possible")
    low = password.lower()
    bare = low
    for word in (*_OBVIOUS, name.lower()):
        bare = bare.replace(word, "")
    if len(set(low)) < 5 or len(bare) < 6:
        raise WeakPasswordError("too easy to guess: use several words, or let a password manager choose")
    return _HASHER.hash(password)


def verify(hashed: str | None, password: str) -> bool:
    """True for the right password; takes as long where there is none."""
    try:
        return _HASHER.verify(hashed or _NOBODY, password[:1024]) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def outdated(hashed: str) -> bool:
    """True when the hash was made with weaker parameters."""
    return _HASHER.check_needs_rehash(hashed)
