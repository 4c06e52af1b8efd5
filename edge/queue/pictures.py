"""The pictures on the disk: one sealed file an examination, with its header, and its heat map beside it."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from core.files import write_atomic
from edge.queue.encryption import DamagedError, Encryptor
from edge.queue.examination import ID, Examination

log = logging.getLogger(__name__)


class PictureFiles:
    """The folder of sealed pictures."""

    def __init__(self, folder: Path, encryptor: Encryptor) -> None:
        self.folder = folder
        self._encryptor = encryptor
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, examination: Examination, jpeg: bytes) -> int:
        """Write a picture with its header and return the file's size in bytes. Raises OSError."""
        header = json.dumps(examination.header()).encode()
        sealed = self._encryptor.encrypt(struct.pack(">I", len(header)) + header + jpeg, examination.id)
        write_atomic(self.path(examination.id), sealed, mode=0o600)
        return len(sealed)

    def read(self, examination_id: str) -> tuple[dict[str, Any], bytes]:
        """Return header and JPEG. Raises DamagedError."""
        try:
            sealed = self.path(examination_id).read_bytes()
        except OSError as error:
            raise DamagedError(f"{examination_id}: the picture cannot be read: {error}") from None
        plain = self._encryptor.decrypt(sealed, examination_id)
        (length,) = struct.unpack_from(">I", plain)
        header: dict[str, Any] = json.loads(plain[4 : 4 + length])
        return header, plain[4 + length :]

    def write_heat_map(self, examination_id: str, image: bytes) -> None:
        """Write a heat map beside its picture."""
        sealed = self._encryptor.encrypt(image, f"{examination_id}.map")
        write_atomic(self.path(examination_id, "map"), sealed, mode=0o600)

    def read_heat_map(self, examination_id: str) -> bytes:
        """Return a heat map's image bytes. Raises DamagedError."""
        try:
            sealed = self.path(examination_id, "map").read_bytes()
        except OSError as error:
            raise DamagedError(f"{examination_id}: no heat map: {error}") from None
        return self._encryptor.decrypt(sealed, f"{examination_id}.map")

    def remove(self, examination_id: str) -> None:
        """Remove a picture and its heat map."""
        for kind in ("exam", "map"):
            self.path(examination_id, kind).unlink(missing_ok=True)

    def without_row(self, known: Set[str]) -> Iterator[tuple[Examination, int]]:
        """Yield the whole pictures that are not `known`, with their sizes; put damaged ones and drafts away."""
        for draft in self.folder.glob(".*.partial"):
            draft.unlink()
        for path in self.folder.glob("*.exam"):
            if path.stem in known or not ID.fullmatch(path.stem):
                continue
            try:
                header, _ = self.read(path.stem)
            except DamagedError as error:
                log.error("a picture without a record is damaged and put aside: %s", error)
                path.replace(path.with_suffix(".damaged"))
                continue
            yield Examination(**header), path.stat().st_size

    def path(self, examination_id: str, kind: str = "exam") -> Path:
        """Return where a picture (`exam`) or a heat map (`map`) lies."""
        return self.folder / f"{examination_id}.{kind}"
