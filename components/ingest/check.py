"""Checks a batch of image files; converted images are left in a staging folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from components.ingest import picture
from components.ingest.picture import Limits


@dataclass(frozen=True, slots=True)
class CheckJob:
    """Files to be checked.

    Attributes:
        files: number and path of each.
        limits: what is refused.
        staging: folder for converted images.
    """

    files: tuple[tuple[int, str], ...]
    limits: Limits
    staging: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file.

    Attributes:
        number: as in the job.
        reason: a key of ``row.REASONS``, empty where the image is good.
        detail: what exactly.
        sha256: of the file as it was found.
        written_sha256: of the bytes that go into the record.
        written_file: where those bytes lie.
        fingerprint: perceptual hash, hexadecimal.
        converted: why it was re-encoded, else empty.
        width: pixels, as written.
        height: pixels, as written.
    """

    number: int
    reason: str = ""
    detail: str = ""
    sha256: str = ""
    written_sha256: str = ""
    written_file: str = ""
    fingerprint: str = ""
    converted: str = ""
    width: int = 0
    height: int = 0


def check(job: CheckJob) -> list[Outcome]:
    """Check every file of ``job``, in order."""
    return [_one(number, file, job) for number, file in job.files]


def _one(number: int, file: str, job: CheckJob) -> Outcome:
    try:
        good = picture.check(picture.read(file, job.limits.max_bytes), job.limits)
    except picture.RefusedError as refused:
        return Outcome(number, refused.reason, refused.detail)
    sha256, written = good.sha256, file
    if good.jpeg is not None:
        sha256 = hashlib.sha256(good.jpeg).hexdigest()
        path = Path(job.staging, f"{number:08d}.jpg")
        path.write_bytes(good.jpeg)
        written = str(path)
    return Outcome(
        number=number,
        sha256=good.sha256,
        written_sha256=sha256,
        written_file=written,
        fingerprint=good.fingerprint.hex(),
        converted=good.converted,
        width=good.width,
        height=good.height,
    )
