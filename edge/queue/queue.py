"""The durable queue: every capture is on the disk before anybody is told that it was taken.

One sealed file an examination holds the picture and its header; the ledger holds the order and the state.
The file is written first, so that a power cut leaves either nothing, or a whole file without a row, which
the next start adopts. A lost ledger is rebuilt from the files: what had been sent is sent again, and its id
makes that harmless.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from core.errors import UsageError
from core.files import sync_folder, write_atomic
from edge.queue.encryption import DamagedError, Encryptor, KeyFileError
from edge.queue.examination import Answer, Examination, State
from edge.queue.pictures import PictureFiles
from edge.queue.store import CorruptStoreError, ExaminationStore

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
EVERY_ONE = -1  # as the limit of a page


class StorageFullError(Exception):
    """There is no room for another capture; the text says why."""


class FolderInUseError(UsageError):
    """Another process works in this state folder; the text says which."""


class Queue(ExaminationStore):
    """The examinations of one device in `folder`, with their pictures; safe to use from several threads."""

    def __init__(self, folder: Path, encryptor: Encryptor, *, budget_bytes: int, min_free_bytes: int) -> None:
        """Open or create the queue, which belongs to this process until it is closed.

        Pictures take `budget_bytes` at most, of which sent ones go first, and leave `min_free_bytes` free.

        Raises:
            FolderInUseError: another process works in the folder.
            KeyFileError: its data was sealed with another key.
            OSError: the folder cannot be used.
            sqlite3.OperationalError: the disk is full or failing.
        """
        self._folder = folder
        self._budget = budget_bytes
        self._min_free = min_free_bytes
        self._changing = threading.RLock()  # a lock of its own: who reads waits for no picture to be written
        self.changed = threading.Condition()
        self.listeners: list[Callable[[], None]] = []  # called after every change; must not wait
        self.revision = 0
        self.rebuilt: Path | None = None  # where a corrupt ledger was put aside by this start
        self.pictures = PictureFiles(folder / "images", encryptor)
        sync_folder(folder)
        self._folder_lock = _locked(folder / "lock")
        try:
            self._check_key(encryptor)
            self._open(encryptor)
            self._adopt()
        except BaseException:
            self._folder_lock.close()
            raise

    def add(self, examination: Examination, jpeg: bytes) -> Examination:
        """Keep a capture durably; its number is given here. An id that is known is left as it is.

        Raises StorageFullError.
        """
        with self._changing:
            known = self.get(examination.id)
            if known is not None:
                return known
            self._make_room(len(jpeg))
            kept = replace(examination, number=self.last_number() + 1)
            try:
                self.insert(kept, self.pictures.write(kept, jpeg))
            except (OSError, sqlite3.OperationalError) as error:
                self.pictures.remove(kept.id)
                raise StorageFullError(f"the photograph could not be written: {error}") from None
        self._announce()
        return kept

    def settle(
        self, examination_id: str, state: State, answer: Answer | None = None, trouble: str = ""
    ) -> None:
        """Record what the server said, once: a settled examination stays as it is."""
        # A preliminary answer does not outlive a refusal.
        said = {"state": state, "answer": answer, "answered_at": time.time(), "trouble": trouble}
        self._change(examination_id, _waits, **said, set_aside=False)

    def note(self, examination_id: str, *, trouble: str = "", answer: Answer | None = None) -> None:
        """Record a try that failed, or a preliminary answer, while the examination goes on waiting."""
        with self._changing:
            found = self.get(examination_id)
            if found is None or found.settled:
                return
            tries = found.tries + bool(trouble)
            self.update(replace(found, trouble=trouble, tries=tries, answer=answer or found.answer))
        self._announce()

    def mark_reported(self, examination_id: str) -> None:
        """Record that the gateway has this examination."""
        self._change(examination_id, lambda _: True, reported=True)

    def set_aside(self, examination_id: str, trouble: str) -> None:
        """Let the next ones pass: the servers fail on this photograph. It keeps waiting, for a person."""
        self._change(examination_id, _waits, set_aside=True, trouble=trouble)

    def ask_again(self, examination_id: str) -> None:
        """Put a refused examination, or one that was set aside, back in line: the nurse's way back."""
        again = {
            "state": "waiting",
            "set_aside": False,
            "trouble": "",
            "reported": False,
            "answered_at": None,
        }
        self._change(
            examination_id, lambda one: one.kept and (one.state == "refused" or one.set_aside), **again
        )

    def leave(self, examination_id: str) -> None:
        """Settle an examination that was set aside without an answer: the nurse will not ask again."""
        found = self.get(examination_id)
        if found is not None and found.set_aside:
            self.settle(examination_id, "refused", trouble=found.trouble)

    def keep_heat_map(self, examination_id: str, image: bytes) -> None:
        """Keep the heat map beside the picture."""
        with self._changing:
            found = self.get(examination_id)
            if found is None or not found.kept:
                return
            self.pictures.write_heat_map(examination_id, image)
            self.update(replace(found, heat_map=True))
        self._announce()

    def drop_picture(self, examination_id: str) -> None:
        """Take a sent examination's picture off the disk; the record stays.

        ValueError for one that waits.
        """
        with self._changing:
            found = self.get(examination_id)
            if found is None or not found.settled:
                raise ValueError(f"examination {examination_id} is not sent: its picture stays")
            self.update(replace(found, kept=False, heat_map=False))
            self.pictures.remove(examination_id)
        self._announce()

    def forget(self, examination_id: str) -> None:
        """Take a sent examination off the device, record and all. ValueError for one that waits."""
        with self._changing:
            self.drop_picture(examination_id)
            self.delete(examination_id)
        self._announce()

    def get(self, examination_id: str) -> Examination | None:
        """Return the examination with this id."""
        return self._first("WHERE id = ?", (examination_id,))

    def next_waiting(self) -> Examination | None:
        """Return the oldest examination that no server has answered and that was not set aside."""
        return self._first("WHERE state = 'waiting' AND NOT set_aside ORDER BY number LIMIT 1")

    def all_set_aside(self) -> list[Examination]:
        """Return what the servers fail on, oldest first."""
        return self.select("WHERE set_aside ORDER BY number")

    def next_unreported(self) -> Examination | None:
        """Return the oldest examination the gateway does not have, once it is settled.

        Reports keep the order, but do not wait behind one that was set aside.
        """
        found = self._first("WHERE reported = 0 AND NOT set_aside ORDER BY number LIMIT 1")
        return found if found is not None and found.settled else None

    def search(self, text: str) -> list[Examination]:
        """Return the examinations whose code holds `text` or whose number it is, newest first.

        Codes are sealed, so that every row is opened: some 20,000 a second.
        """
        wanted = text.strip().upper()
        rows = self.select("ORDER BY number DESC")
        return [row for row in rows if wanted in row.code.upper() or wanted == str(row.number)]

    def page(self, limit: int, offset: int = 0) -> list[Examination]:
        """Return examinations, newest first."""
        return self.select("ORDER BY number DESC LIMIT ? OFFSET ?", (limit, offset))

    def forget_settled(self, before: float, *, reported: bool) -> int:
        """Remove what was settled `before` (Unix seconds), if `reported` only what the gateway has; return how many.

        What is unsent stays, however old.
        """
        where = "WHERE state != 'waiting' AND settled_at < ?" + (" AND reported = 1" if reported else "")
        old = self.select(where, (before,))
        for examination in old:
            self.forget(examination.id)
        return len(old)

    def picture(self, examination_id: str) -> bytes:
        """Return the JPEG; DamagedError when the file is gone or was changed."""
        return self.pictures.read(examination_id)[1]

    def free_bytes(self) -> int:
        """Return the bytes free on the partition."""
        return shutil.disk_usage(self._folder).free

    def close(self) -> None:
        """Close the store and let others have the folder."""
        super().close()
        self._folder_lock.close()

    def _first(self, where: str, values: tuple[Any, ...] = ()) -> Examination | None:
        return next(iter(self.select(where, values)), None)

    def _check_key(self, encryptor: Encryptor) -> None:
        """Refuse a key that this queue was not sealed with: its data is not damaged, only unreadable."""
        path = self._folder / "key.check"
        if not path.exists():
            write_atomic(path, encryptor.encrypt(b"melanosizer", "key.check"), mode=0o600)
            return
        try:
            encryptor.decrypt(path.read_bytes(), "key.check")
        except DamagedError:
            raise KeyFileError(
                f"the encryption key is not the one that {self._folder} was sealed with: put the right key file "
                "back (storage.key_file), or start with an empty state folder"
            ) from None

    def _open(self, encryptor: Encryptor) -> None:
        path = self._folder / "queue.sqlite3"
        try:
            super().__init__(path, encryptor)
        except CorruptStoreError as error:
            aside = self._folder / f"corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
            aside.mkdir(exist_ok=True)
            for part in ("", "-wal", "-shm"):
                broken = path.with_name(path.name + part)
                if broken.exists():
                    broken.replace(aside / broken.name)
            sync_folder(self._folder)
            log.error("the queue is corrupt (%s): kept in %s, rebuilding it from the pictures", error, aside)
            self.rebuilt = aside
            super().__init__(path, encryptor)

    def _adopt(self) -> None:
        """Take in whole files that have no row, oldest first."""
        orphans = list(self.pictures.without_row(self.ids()))
        numbers = {examination.number for examination in self.select("")} if orphans else set()
        for examination, size in sorted(orphans, key=lambda orphan: orphan[0].number):
            number = examination.number
            if number in numbers:
                number = self.last_number() + 1
            numbers.add(number)
            self.insert(replace(examination, number=number), size)
            log.warning("adopted examination %s: its picture was whole, its record was not", examination.id)

    def _make_room(self, size: int) -> None:
        free = self.free_bytes()
        if free - size < self._min_free:
            raise StorageFullError(
                f"{free // MEGABYTE} MB are free on the card, and {self._min_free // MEGABYTE} MB must stay free"
            )
        if self.bytes_kept() + size <= self._budget:
            return
        sent = (
            "WHERE kept = 1 AND (state = 'answered' OR (state != 'waiting' AND reported = 1)) ORDER BY number"
        )
        for old in self.select(sent):
            self.drop_picture(old.id)
            if self.bytes_kept() + size <= self._budget:
                return
        raise StorageFullError(
            f"{self.counts()['waiting']} unsent photographs fill "
            f"the {self._budget // MEGABYTE} MB set aside for them"
        )

    def _change(self, examination_id: str, wanted: Callable[[Examination], bool], **values: Any) -> None:
        """Give fields of an examination new values, if it is there and `wanted` says so."""
        with self._changing:
            found = self.get(examination_id)
            if found is None or not wanted(found):
                return
            self.update(replace(found, **values))
        self._announce()

    def _announce(self) -> None:
        with self.changed:
            self.revision += 1
            self.changed.notify_all()
        for listener in self.listeners:
            listener()


def _waits(examination: Examination) -> bool:
    return not examination.settled


def _locked(path: Path) -> TextIO:
    """Take the folder for this process; the lock ends with it, also by SIGKILL."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise FolderInUseError(
            f"{path.parent} is in use by another process ({owner}): stop it, or give another folder with --state DIR"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
    return file
