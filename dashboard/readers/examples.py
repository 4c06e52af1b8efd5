"""Records of a data set, as the data browser shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core import features, tfrecord
from core.tfrecord import DamagedRecordsError as DamagedDataError

__all__ = ["COLUMNS", "SPLITS", "DamagedDataError", "Record", "records"]

SPLITS = features.SPLITS
COLUMNS = (features.SOURCE, features.SEX, features.SITE, features.DIAGNOSIS)


@dataclass(frozen=True)
class Record:
    """One image with what is known of it."""

    split: str
    name: str
    image: bytes
    target: int
    columns: dict[str, str]  # source, sex, age_band, anatom_site, diagnosis; "unknown" where it is


def records(folder: Path, splits: tuple[str, ...] = SPLITS) -> Iterator[Record]:
    """Yield every record of some splits.

    Raises:
        DamagedDataError: a file is not a whole TFRecord file of examples.
    """
    for split in splits:
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
        raise DamagedDataError(f"{path}: {error.strerror or error}") from None
