"""Hashes of a model's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

FACTS = Path("assets.extra") / "melanosizer.json"
WEIGHTS = Path("assets.extra") / "model.weights.h5"
# They differ between two exports of the same weights: the version is minted at each export.
VOLATILE_FACTS = frozenset({"model_version", "created", "training_seconds"})


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_hash(folder: Path) -> str:
    """Return one SHA-256 of all files below ``folder``, their relative names included."""
    return _combined((str(path.relative_to(folder)), file_hash(path)) for path in _files(folder))


def content_hash(path: Path) -> str | None:
    """Return the SHA-256 of a folder's or a file's content; None where there is nothing."""
    if path.is_file():
        return file_hash(path)
    return tree_hash(path) if path.is_dir() and any(path.iterdir()) else None


def fingerprint(model: Path) -> str:
    """Return a SHA-256 of what a SavedModel computes.

    It covers variables, assets and stored facts, not `saved_model.pb`, which holds the version's own number. An export
    that keeps its weights as constants there is known by its training weights: two exports of the same weights are equal.
    Of a network that keeps variables they are not: TensorFlow writes those in an order that differs at each export.
    """
    facts = json.loads((model / FACTS).read_text())
    kept = {key: value for key, value in facts.items() if key not in VOLATILE_FACTS}
    parts = [("facts", hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest())]
    for name in ("variables", "assets"):
        parts.extend((str(path.relative_to(model)), file_hash(path)) for path in _files(model / name))
    if not any(path.stat().st_size for path in (model / "variables").glob("*.data-*")):
        parts.extend((str(path), file_hash(model / path)) for path in (WEIGHTS,) if (model / path).is_file())
    return _combined(parts)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _combined(parts: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for name, value in parts:
        digest.update(f"{name}\0{value}\n".encode())
    return digest.hexdigest()
