"""Checks a batch of image files; converted images are left in a staging folder."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.ingest import fingerprint, picture
from components.ingest.picture import Limits
from core.images.decode import ImageRefusedError


@dataclass(frozen=True, slots=True)
class CheckJob:
    """Files to be checked."""

    files: tuple[tuple[int, str], ...]  # number and path of each
    limits: Limits  # what is refused
    staging: str  # folder for converted images

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file."""

    number: int  # as in the job
    reason: str = ""  # a key of ``row.REASONS``, empty where the image is good
    detail: str = ""
    sha256: str = ""  # of the file as it was found
    written_sha256: str = ""  # of the bytes that go into the record
    written_file: str = ""  # where those bytes lie
    fingerprint: str = ""  # perceptual hash, hexadecimal
    converted: str = ""  # why it was re-encoded, else empty


def check(job: CheckJob) -> list[Outcome]:
    """Check every file of ``job``, in order."""
    # Warnings of Pillow are about what is judged here anyway.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checked = [_one(number, file, job) for number, file in job.files]
    greys = [grey for _, grey in checked if grey]
    # All at once: one by one they would cost as much as the decoding.
    stack = np.frombuffer(b"".join(greys), np.uint8).reshape(-1, fingerprint.SIDE, fingerprint.SIDE)
    hashes = iter(fingerprint.of(stack))
    return [
        dataclasses.replace(outcome, fingerprint=next(hashes).tobytes().hex()) if grey else outcome
        for outcome, grey in checked
    ]


def _one(number: int, file: str, job: CheckJob) -> tuple[Outcome, bytes]:
    """Check one file; its outcome lacks the hash, which is made of the luminance beside it."""
    try:
        good = picture.check(picture.read(file, job.limits.max_bytes), job.limits)
    except ImageRefusedError as refused:
        return Outcome(number, refused.reason, refused.detail), b""
    sha256, written = good.sha256, file
    if good.jpeg is not None:
        sha256 = hashlib.sha256(good.jpeg).hexdigest()
        path = Path(job.staging, f"{number:08d}.jpg")
        path.write_bytes(good.jpeg)
        written = str(path)
    outcome = Outcome(
        number, sha256=good.sha256, written_sha256=sha256, written_file=written, converted=good.converted
    )
    return outcome, good.grey
