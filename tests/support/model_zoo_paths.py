"""Version folders that need no TensorFlow to make."""

from __future__ import annotations

from pathlib import Path


def broken(folder: Path) -> Path:
    """A version folder whose saved_model.pb is cut off."""
    partial = folder.with_name(f"partial-{folder.name}")  # a server that polls should not see half of it
    partial.mkdir(parents=True)
    (partial / "saved_model.pb").write_bytes(b"\x08\x01\x12\xff\xff")
    return partial.rename(folder)
