"""What is in data sets: an index of images, counts and the drift reference in the database, and what ingest left out."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import delete, select

from core import features, tfrecord
from core.images.decode import ImageRefusedError, thumbnail
from core.settings import Frozen
from core.spreadsheet import plain
from core.tfrecord import DamagedRecordsError
from core.worker import Worker
from dashboard.database.connection import Database, upsert
from dashboard.database.tables import DataCount, DataImage, DataSet, Reference
from dashboard.field.features import FEATURES, image_facts
from dashboard.readers.runs import RunFiles

log = logging.getLogger(__name__)

PERIOD_S = 20.0
THUMBNAIL_SIDE = 192
BATCH = 500
# Every n-th image of train is measured: a reference of some thousand images is exact enough for PSI.
REFERENCE_IMAGES = 2000
MOST_QUARANTINED = 200_000
COLUMNS = (features.SOURCE, features.SEX, features.SITE, features.DIAGNOSIS)


@dataclass(frozen=True)
class Record:
    """One image with what is known of it."""

    split: str
    name: str
    image: bytes
    target: int
    columns: dict[str, str]  # source, sex, age_band, anatom_site, diagnosis; "unknown" where it is


def records(folder: Path) -> Iterator[Record]:
    """Yield every record of a data set.

    Raises:
        DamagedRecordsError: a file is not a whole TFRecord file of examples.
    """
    for split in features.SPLITS:
        for path in sorted((folder / split).glob("*.tfrecord.gz")):
            for values in _examples(path):
                columns = {name: tfrecord.text(values, name, features.UNKNOWN) for name in COLUMNS}
                columns[features.AGE_BAND] = features.age_band(tfrecord.first(values, features.AGE))
                yield Record(
                    split=split,
                    name=tfrecord.text(values, features.IMAGE_NAME, features.UNKNOWN),
                    image=tfrecord.first(values, features.IMAGE) or b"",
                    target=int(tfrecord.first(values, features.TARGET) or 0),
                    columns=columns,
                )


def _examples(path: Path) -> Iterator[dict[str, tfrecord.Values]]:
    try:
        yield from tfrecord.examples(path)
    except OSError as error:
        raise DamagedRecordsError(f"{path}: {error.strerror or error}") from None


class DataIndex(Worker):
    """Indexes every data set a run used, once, in the background."""

    def __init__(self, database: Database, runs: RunFiles, thumbnails: Path) -> None:
        super().__init__("data-index", PERIOD_S)
        self._database = database
        self._runs = runs
        self._thumbnails = thumbnails

    def turn(self) -> None:
        """Index what is new."""
        folders = {
            run.data_version: Path(run.data) for run in self._runs.all() if run.data_version and run.data
        }
        with self._database.waiting():
            with self._database.read() as session:
                known = set(session.scalars(select(DataSet.version).where(DataSet.state != "indexing")))
            for version, folder in folders.items():
                if self.stopping:
                    return
                if version not in known and folder.is_dir():
                    self.index(version, folder)

    def thumbnail(self, version: str, name: str) -> Path | None:
        """The small picture of an image of the test split."""
        path = self._place(version, name)
        return path if path.is_file() else None

    def index(self, version: str, folder: Path) -> None:
        """Read one data set and write what is in it; an earlier, broken-off reading is replaced."""
        row = DataSet(version=version, folder=str(folder), images=0, state="indexing", trouble="")
        with self._database.write() as session:
            for table in (DataImage, DataCount, Reference):
                session.execute(delete(table).where(table.data_version == version))
            session.merge(row)
        try:
            row.images = self._read(version, folder)
            row.state, row.trouble = ("ready", "") if row.images else ("empty", f"{folder} holds no records")
        except (DamagedRecordsError, OSError) as error:
            row.state, row.trouble = "damaged", str(error)
            log.warning("data set %s: %s", version[:12], error)
        if not self.stopping:
            with self._database.write() as session:
                session.merge(row)

    def _read(self, version: str, folder: Path) -> int:
        counts: Counter[tuple[str, str, str, int]] = Counter()
        reference: Counter[tuple[str, int]] = Counter()
        rows: dict[str, dict[str, object]] = {}
        total = trained = 0
        step = 1
        for record in records(folder):
            if self.stopping:
                return total
            total += 1
            name = record.name[:160]
            rows[name] = {
                "data_version": version,
                "name": name,
                "split": record.split,
                "target": record.target,
                "sha256": hashlib.sha256(record.image).hexdigest(),
            }
            counts["all", "all", record.split, record.target] += 1
            for column, value in record.columns.items():
                counts[column, value[:80], record.split, record.target] += 1
            if record.split == "train":
                trained += 1
                # Measure densely at first and more sparsely as the split turns out to be large.
                step = 1 + trained // REFERENCE_IMAGES
                if trained % step == 0:
                    _measure(record.image, reference)
            elif record.split == "test":
                self._keep(version, record)
            if len(rows) >= BATCH:
                self._write(rows)
                rows.clear()
        self._write(rows)
        self._summarise(version, counts, reference)
        return total

    def _write(self, rows: dict[str, dict[str, object]]) -> None:
        with self._database.write() as session:
            upsert(session, DataImage, list(rows.values()))

    def _summarise(
        self, version: str, counts: Counter[tuple[str, str, str, int]], reference: Counter[tuple[str, int]]
    ) -> None:
        keys = sorted({key[:3] for key in counts})
        with self._database.write() as session:
            session.add_all(
                DataCount(
                    data_version=version,
                    column=column,
                    value=value,
                    split=split,
                    negatives=counts[column, value, split, 0],
                    positives=counts[column, value, split, 1],
                )
                for column, value, split in keys
            )
            session.add_all(
                Reference(data_version=version, feature=feature, bin=number, count=count)
                for (feature, number), count in sorted(reference.items())
            )

    def _keep(self, version: str, record: Record) -> None:
        path = self._place(version, record.name)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(thumbnail(record.image, THUMBNAIL_SIDE))
        except ImageRefusedError as error:
            log.info("no thumbnail of %s: %s", record.name, error)

    def _place(self, version: str, name: str) -> Path:
        # Names come from data sets: only their digests become file names.
        key = hashlib.sha256(f"{version}/{name}".encode()).hexdigest()
        return self._thumbnails / key[:2] / f"{key}.jpg"


def _measure(image: bytes, reference: Counter[tuple[str, int]]) -> None:
    try:
        facts = image_facts(image, max_bytes=64 << 20, max_pixels=100_000_000)
    except ImageRefusedError:
        return
    for name in FEATURES:
        value = getattr(facts, name, None)
        if value is not None:
            reference[name, FEATURES[name].bin(value)] += 1


class Quarantined(Frozen):
    """A file that was left out."""

    name: str
    reason: str
    detail: str
    path: str


def quarantine(folder: Path) -> list[Quarantined]:
    """Every file that was left out, in the file's order."""
    try:
        with (folder / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(islice(csv.DictReader(stream), MOST_QUARANTINED))
    except (OSError, ValueError, csv.Error):
        return []
    result = []
    for row in rows:
        known = {key: plain(value) for key, value in row.items() if isinstance(key, str) and value}
        path, reason = known.get("file", ""), known.get("reason", "")
        name = known.get("image_name", path)
        rest = (f"{key}: {value}" for key, value in known.items() if value not in (name, reason))
        result.append(Quarantined(name=name, reason=reason, detail="; ".join(rest), path=path))
    return result
