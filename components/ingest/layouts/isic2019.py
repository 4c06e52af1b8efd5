"""Reads ISIC 2019: a one-hot ground truth, and a second table with age, sex, site and lesion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.layouts import table
from components.ingest.layouts.found import Found
from components.ingest.row import Refusal
from components.ingest.source import Source

_METADATA = {
    "age_approx": "age",
    "anatom_site_general": "site",
    "lesion_id": "lesion",
    "patient_id": "patient",
    "sex": "sex",
}


def read(source: Source, config: IngestConfig) -> Found:
    """Read the ground truth and, where it lies beside it, the metadata.

    Raises:
        IngestError: the ground truth is missing or has not the columns `image` and the diagnoses.
    """
    truth = table.load(source.table())
    missing = [name for name in ("image", *table.ONE_HOT) if name not in truth.header]
    if missing:
        raise IngestError(
            f"{truth.path} has no column {', '.join(missing)}: expected image, {', '.join(table.ONE_HOT)}; "
            "is it the ground truth of ISIC 2019?"
        )
    metadata = _metadata(truth.path)
    found = Found()
    return table.rows(source, config, _records(source, truth, metadata, found), found)


def _metadata(truth: Path) -> dict[str, dict[str, str]]:
    """What the other table says of each image; nothing where there is none."""
    own = truth.with_name(truth.name.replace("GroundTruth", "Metadata"))
    others = [path for path in (own, *sorted(truth.parent.glob("*[Mm]etadata*.csv"))) if path != truth]
    tables = (table.load(path) for path in others if path.is_file())
    # HAM10000's own metadata may lie beside it; it calls the images otherwise.
    loaded = next((one for one in tables if "image" in one.header), None)
    if loaded is None:
        return {}
    records: dict[str, dict[str, str]] = {}
    for _, cells in loaded.lines:
        record = dict(zip(loaded.header, cells, strict=False))
        records[record["image"]] = {key: record.get(name, "") for name, key in _METADATA.items()}
    return records


def _records(
    source: Source, truth: table.Table, metadata: dict[str, dict[str, str]], found: Found
) -> Iterator[tuple[int, dict[str, str], str]]:
    for line, cells in truth.lines:
        if len(cells) != len(truth.header):
            detail = f"{len(cells)} cells, the header has {len(truth.header)}"
            found.refusals.append(Refusal(source.title, line, "", "", "bad_row", detail))
            continue
        record = dict(zip(truth.header, cells, strict=True))
        chosen = [name for name in table.ONE_HOT if record[name].strip() in {"1", "1.0"}]
        if len(chosen) > 1:
            detail = f"{' and '.join(chosen)} are both set"
            found.refusals.append(Refusal(source.title, line, record["image"], "", "bad_value", detail))
            continue
        known = metadata.get(record["image"], {})
        yield line, {"image": record["image"], **known}, chosen[0] if chosen else ""
