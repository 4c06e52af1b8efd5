"""Reads ISIC 2018 and 2019: a one-hot ground truth, and for 2019 a second table with age, sex, site and lesion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts import KNOWN, table, table_file
from components.ingest.row import Found
from components.ingest.source import Source

_UNKNOWN: Final = "UNK"
_FLAG: Final = re.compile(r"^[01](\.0*)?$")


def read(source: Source, config: IngestConfig) -> Found:
    """Read the ground truth and, where it lies beside it, the metadata.

    Raises:
        IngestError: the ground truth is missing or has not the columns `image` and the diagnoses.
    """
    truth = table_file.load(source.table())
    needed = ("image", *KNOWN["one_hot_of"][source.kind])
    missing = [name for name in needed if name not in truth.header]
    if missing:
        raise IngestError(
            f"{truth.path} has no column {', '.join(missing)}: expected {', '.join(needed)}; "
            f"is it the ground truth of {source.kind}?"
        )
    found = Found(source.title)
    return table.rows(source, config, _records(truth, _metadata(truth.path), found), found)


def _metadata(truth: Path) -> dict[str, dict[str, str]]:
    """What the other table says of each image; nothing where there is none."""
    own = truth.with_name(truth.name.replace("GroundTruth", "Metadata"))
    beside = (path for path in sorted(truth.parent.iterdir()) if "metadata" in path.name.lower())
    others = [path for path in (own, *beside) if path != truth and path.suffix.lower() == ".csv"]
    tables = (table_file.load(path) for path in others if path.is_file())
    # HAM10000's own metadata may lie beside it; it calls the images otherwise.
    loaded = next((one for one in tables if "image" in one.header), None)
    if loaded is None:
        return {}
    # A short row says of its last columns nothing.
    records = (dict(zip(loaded.header, cells, strict=False)) for _, cells in loaded.lines)
    labels = {name.lower() for name in (*table.LABELS, *table.ONE_HOT)}
    return {
        record.get("image", ""): {key: value for key, value in record.items() if key.lower() not in labels}
        for record in records
    }


def _records(
    truth: table_file.Table, metadata: dict[str, dict[str, str]], found: Found
) -> Iterator[tuple[int, dict[str, str]]]:
    columns = [name for name in (*table.ONE_HOT, _UNKNOWN) if name in truth.header]
    extra = dict.fromkeys(key for record in metadata.values() for key in record)
    for line, record in table.records(truth, found):
        odd = [name for name in columns if not _FLAG.match(record[name].strip())]
        chosen = [name for name in columns if record[name].strip().startswith("1")]
        if len(chosen) > 1 or odd:
            wrong = f"{' and '.join(chosen)} are both set" if not odd else f"{odd[0]} is {record[odd[0]]!r}"
            found.refuse(line, record["image"], "", "bad_value", wrong)
            continue
        known = metadata.get(record["image"], {})
        row = {key: known.get(key, "") for key in extra}
        yield line, {**row, "image": record["image"], "diagnosis": "".join(chosen).removeprefix(_UNKNOWN)}
