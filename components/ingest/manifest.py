"""What an ingest job wrote: the identity and the accounts of a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from core.features import SPLITS, class_weights
from core.hashing import file_hash
from core.settings import Frozen, first_fault

NAME: Final = "manifest.json"


class Counts(Frozen):
    """Where every row went."""

    rows_read: int = Field(ge=0, description="rows of all sources")
    written: int = Field(ge=0, description="images in the TFRecords")
    quarantined: int = Field(ge=0, description="rows in quarantine.csv")
    by_reason: dict[str, int] = Field(description="quarantined rows by reason")
    converted: dict[str, int] = Field(description="written images that were re-encoded, by why")
    near_duplicates: int = Field(
        ge=0, description="written images with a near-copy, held in one split with it"
    )
    unlisted_files: int = Field(ge=0, description="image files that no row names; they are not rows")


class Shard(Frozen):
    """One TFRecord file."""

    file: str = Field(description="path below the data set's folder")
    records: int = Field(ge=0, description="images in it")
    bytes: int = Field(ge=0, description="its length")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of its bytes")


class SplitCounts(Frozen):
    """One split."""

    images: int = Field(ge=0, description="images in it")
    positives: int = Field(ge=0, description="of these, with target 1")
    groups: int = Field(
        ge=0, description="patients, lesions or single images; none of them is in another split"
    )
    diagnoses: dict[str, int] = Field(description="images by diagnosis; the empty key counts the unknown")
    shards: tuple[Shard, ...] = Field(description="its files")

    @property
    def negatives(self) -> int:
        """Images with target 0."""
        return self.images - self.positives

    @property
    def class_weights(self) -> tuple[float, float] | None:
        """Balanced weights of target 0 and 1, None if a class is missing."""
        return class_weights(self.negatives, self.positives) if self.negatives and self.positives else None


class SourceCounts(Frozen):
    """One source."""

    name: str = Field(description="value of the feature `source`")
    kind: str = Field(description="layout")
    table: str = Field(description="name of its table or folder, without the path")
    rows_read: int = Field(ge=0, description="its rows")
    written: int = Field(ge=0, description="its images in the TFRecords")
    span: int = Field(default=1, ge=1, description="the part of the data it came with")


class Span(Frozen):
    """One part of the data: what one run of ingest added."""

    number: int = Field(ge=1, description="1 is the first")
    created: str = Field(description="UTC time, ISO 8601")
    images: dict[str, int] = Field(description="images by split")
    positives: dict[str, int] = Field(description="of these, with target 1")

    @property
    def label_counts(self) -> dict[str, int]:
        """Images by label over all splits."""
        positives = sum(self.positives.values())
        return {"negatives": sum(self.images.values()) - positives, "positives": positives}


class LabelCount(Frozen):
    """Rows that call their label by one name."""

    name: str = Field(description="what the label columns, or the folder, say")
    became: str = Field(description="the label, 0 or 1, or the reason for having none")
    rows: int = Field(ge=0, description="how many")


class Manifest(Frozen):
    """`manifest.json` of an ingested data set."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    data_version: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 over every written image, its features and its split; independent of the rows' order",
    )
    created: str = Field(description="UTC time, ISO 8601")
    counts: Counts = Field(description="where every row went")
    splits: dict[str, SplitCounts] = Field(description="train, eval and test")
    sources: tuple[SourceCounts, ...] = Field(description="what was read")
    spans: tuple[Span, ...] = Field(default=(), description="the parts, in the order they were added")
    grown_from: tuple[str, ...] = Field(
        default=(),
        description="earlier versions whose groups all keep their splits here: none of their training images is tested",
    )
    labels: tuple[LabelCount, ...] = Field(
        default=(), description="which names became which label, the most frequent first, 200 at most"
    )
    class_weights: tuple[float, float] | None = Field(
        description="balanced weights of target 0 and 1 on the training split; null where a class is missing there"
    )
    config: IngestConfig = Field(description="the configuration that made it")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        counts = self.counts
        if counts.rows_read != counts.written + counts.quarantined:
            raise ValueError(
                f"{counts.rows_read} rows read, but {counts.written} written + {counts.quarantined} quarantined"
            )
        if counts.quarantined != sum(counts.by_reason.values()):
            raise ValueError(
                f"{counts.quarantined} quarantined, but the reasons add up to {counts.by_reason}"
            )
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"the splits are {sorted(self.splits)}; expected {', '.join(SPLITS)}")
        images = sum(split.images for split in self.splits.values())
        records = sum(shard.records for split in self.splits.values() for shard in split.shards)
        if not counts.written == images == records:
            raise ValueError(
                f"{counts.written} written, but the splits hold {images} and the files {records}"
            )
        return self

    def label_counts_of_spans(self) -> str:
        """Return images by label of each part, the newest last, as JSON; the class balance step reads it."""
        return json.dumps([span.label_counts for span in self.spans])

    def save(self, folder: Path | str) -> Path:
        """Write `manifest.json` into ``folder``."""
        path = Path(folder) / NAME
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the manifest of an ingested data set from its folder or file.

        Raises:
            IngestError: there is none, or it is broken.
        """
        path = Path(path)
        file = path / NAME if path.is_dir() else path
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise IngestError(
                f"{file} does not exist: {path} is not an ingested data set; run melanosizer ingest"
            ) from None
        except OSError as error:
            raise IngestError(f"{file} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise IngestError(
                f"{file} is not a valid manifest: {first_fault(error)}; ingest the data again"
            ) from None

    def verify(self, folder: Path | str) -> None:
        """Compare the TFRecords in ``folder`` with the manifest.

        Raises:
            IngestError: a file is missing or differs, cannot be read, or is one too many.
        """
        folder = Path(folder)
        for name, split in self.splits.items():
            known = {folder / shard.file for shard in split.shards}
            others = sorted(set((folder / name).glob("*.tfrecord.gz")) - known)
            if others:
                raise IngestError(
                    f"{others[0]} was not written by ingest and would be read too: move it away"
                )
            for shard in split.shards:
                path = folder / shard.file
                try:
                    found = file_hash(path)
                except FileNotFoundError:
                    raise IngestError(f"{path} is missing: ingest the data again") from None
                except OSError as error:
                    raise IngestError(f"{path} cannot be read: {error.strerror}") from None
                if found != shard.sha256:
                    raise IngestError(
                        f"{path} is not what was ingested (SHA-256 {found}): ingest the data again"
                    )


def data_version(lines: Iterable[str]) -> str:
    """SHA-256 over one line an image, in whatever order they come."""
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def json_schema() -> str:
    """The JSON Schema of a manifest, as it is kept in `schemas/manifest.schema.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    Path("schemas/manifest.schema.json").write_text(json_schema(), encoding="utf-8")
