"""Version folders that need no TensorFlow to make."""

from __future__ import annotations

from pathlib import Path


def broken(folder: Path) -> Path:
    """A version folder whose saved_model.pb is cut off."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\xff\xff")
    return folder
