"""Reads images sorted into one folder a class: benign/ and malignant/, or diagnoses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence, Set
from pathlib import Path
from typing import Final

from components.ingest import diagnosis as diagnoses
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.label import Statements, UnlabelledError, decide
from components.ingest.layouts.images import walk
from components.ingest.row import Found, Row
from components.ingest.source import Source

_NEGATIVE: Final = frozenset({
    "0", "negative", "no melanoma", "non melanoma", "not melanoma", "nonmelanoma", "notmelanoma", "nomelanoma",
})  # fmt: skip
_POSITIVE: Final = frozenset({"1", "positive"})
# As the ISIC challenges name what lies beside their pictures.
_MASKS: Final = ("_segmentation", "_superpixels", "_mask")
_TWO: Final = frozenset({"benign", "malignant"})


def found(root: Path) -> bool:
    """Whether ``root`` has sub-folders called after classes, at most three levels down."""
    below = [path for pattern in ("*", "*/*", "*/*/*") for path in root.glob(pattern) if path.is_dir()]
    return any(_statements(path.name, ()) is not None for path in below)


def read(source: Source, config: IngestConfig) -> Found:
    """Read every file below the folder; the folder that it lies in is called after its class.

    With ``positive_diagnoses`` in the configuration the folders must be called after diagnoses.

    Raises:
        IngestError: the folder has no files.
    """
    root = source.image_place()
    extensions = {extension.lower() for extension in config.image_extensions}
    result = Found(source.title)
    files = sorted(Path(folder) / name for folder, names in walk(root) for name in names)
    beside = _check_codes(source, files, extensions)
    for number, path in enumerate(files, start=1):
        relative = path.relative_to(root)
        name = str(relative.with_suffix(""))
        if path.suffix.lower() not in extensions:
            detail = f"the ending {path.suffix!r} is none of {', '.join(config.image_extensions)}"
            result.refuse(number, name, str(path), "not_an_image", detail)
            continue
        if path.stem.lower().endswith(_MASKS):
            result.refuse(number, name, str(path), "not_an_image", "by its name it is a mask, not a picture")
            continue
        called = path.parent.name if relative.parent.parts else ""
        said = _statements(called, config.positive_diagnoses or beside[path.parent.parent] - _TWO)
        # In nevus/1/ the number may be a patient's.
        if called.isdigit() and any(_statements(part, ()) for part in relative.parent.parts[:-1]):
            said = None
        try:
            if said is None:
                raise UnlabelledError("no_label", f"the folder {called!r} is not called after a class")
            target, diagnosis = decide(said, config.positive_diagnoses)
        except UnlabelledError as refused:
            result.count(f"{called}/", refused.reason, None, None)
            result.refuse(number, name, str(path), refused.reason, refused.detail)
            continue
        result.count(f"{called}/", str(target), diagnosis, said.malignant)
        result.rows.append(
            Row(source.title, number, name, str(path), None, None, target, diagnosis, None, None, None)
        )
    if not result.rows_read:
        raise IngestError(f"source {source}: {root} has no files")
    return result


def _check_codes(source: Source, files: Sequence[Path], extensions: Set[str]) -> dict[Path, set[str]]:
    """Return the names of all classes by the folder that holds them.

    Raises:
        IngestError: they are class numbers: 1 is melanoma beside 0 alone.
    """
    beside: dict[Path, set[str]] = defaultdict(set)
    for folder in {path.parent for path in files if path.suffix.lower() in extensions}:
        beside[folder.parent].add(diagnoses.normalised(folder.name))
    for folder, names in beside.items():
        codes = {name for name in names if name.isdigit()}
        if codes - {"0", "1"}:
            raise IngestError(
                f"source {source}: the folders of {folder} are class numbers ({', '.join(sorted(codes)[:10])}): which of "
                "them is melanoma is not written there; rename them after their diagnoses"
            )
    return beside


def _statements(folder: str, others: Collection[str]) -> Statements | None:
    """What a folder's name says of the images in it, None where it is not the name of a class.

    Args:
        folder: its name.
        others: classes other than benign and malignant that lie beside it, or diagnoses that count as positive.
    """
    name = diagnoses.normalised(folder)
    if name == "benign":
        return Statements(malignant=False)
    if name == "malignant":
        # Whoever sorted images into two folders for a melanoma classifier meant melanoma.
        return Statements(malignant=True) if others else Statements(target=1)
    if name in _NEGATIVE:
        return Statements(target=0)
    if name in _POSITIVE:
        return Statements(target=1)
    return Statements(folder) if diagnoses.understood(folder) is not None else None
