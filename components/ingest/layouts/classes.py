"""Reads images sorted into one folder a class: benign/ and malignant/, or diagnoses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from components.ingest import diagnosis as diagnoses
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts.found import Found
from components.ingest.pseudonym import pseudonym
from components.ingest.row import Refusal, Row
from components.ingest.source import Source

_NEGATIVE = frozenset(
    {"benign", "0", "negative", "no melanoma", "non melanoma", "not melanoma", "nonmelanoma"}
)
_POSITIVE = frozenset({"malignant", "1", "positive"})


def found(root: Path) -> bool:
    """Whether ``root`` has sub-folders called after classes, at most two levels down."""
    below = [path for pattern in ("*", "*/*") for path in root.glob(pattern) if path.is_dir()]
    return any(_meaning(path.name, ()) is not None for path in below)


def read(source: Source, config: IngestConfig) -> Found:
    """Read every file below the folder; the nearest folder called after a class decides the label.

    With ``positive_diagnoses`` in the configuration the folders must be called after diagnoses.

    Raises:
        IngestError: the folder has no files.
    """
    root = source.image_folder()
    extensions = {extension.lower() for extension in config.image_extensions}
    result = Found()
    for number, path in enumerate(sorted(_files(root)), start=1):
        relative = path.relative_to(root)
        name = str(relative.with_suffix(""))
        if path.suffix.lower() not in extensions:
            detail = f"the ending {path.suffix!r} is none of {', '.join(config.image_extensions)}"
            result.refusals.append(Refusal(source.title, number, name, str(path), "not_an_image", detail))
            continue
        meanings = (_meaning(part, config.positive_diagnoses) for part in reversed(relative.parts[:-1]))
        meaning = next((found for found in meanings if found is not None), None)
        if meaning is None:
            detail = f"the folder {str(relative.parent)!r} is called after no class"
            result.refusals.append(Refusal(source.title, number, name, str(path), "no_label", detail))
            continue
        target, diagnosis = meaning
        key = pseudonym(source.id_space, "image", name)
        result.rows.append(
            Row(source.title, number, name, str(path), None, None, key, target, diagnosis, None, None, None)
        )
    if not result.rows_read:
        raise IngestError(f"source {source}: {root} has no files")
    return result


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder) / name for name in names)


def _meaning(folder: str, positive: tuple[str, ...]) -> tuple[int, str | None] | None:
    """Label and diagnosis that a folder's name stands for; None where it stands for none."""
    name = " ".join(folder.lower().replace("_", " ").replace("-", " ").split())
    if name in _NEGATIVE:
        return 0, None
    if name in _POSITIVE:
        return (1, None) if not positive else None
    diagnosis = diagnoses.canonical(name)
    if diagnosis is None or not diagnoses.is_known(diagnosis):
        return None
    label = diagnoses.label(diagnosis, None, None, positive)
    return None if label is None else (label, diagnosis)
