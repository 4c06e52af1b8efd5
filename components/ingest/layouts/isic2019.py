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
    beside = truth.with_name(truth.name.replace("GroundTruth", "Metadata"))
    if beside == truth or not beside.is_file():
        others = sorted(path for path in truth.parent.glob("*[Mm]etadata*.csv") if path != truth)
        if not others:
            return {}
        beside = others[0]
    loaded = table.load(beside)
    if "image" not in loaded.header:
        raise IngestError(f"{beside} has no column image; its columns are {', '.join(loaded.header)}")
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
