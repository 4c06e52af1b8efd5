"""Nothing that was acknowledged is ever lost, whatever happens to the power or the card."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge.queue import pictures as pictures_module
from edge.queue.encryption import DamagedError, KeyFileError
from edge.queue.examination import Answer, Examination, new_id
from edge.queue.queue import Queue, StorageFullError

ANSWER = Answer(0.2, 0, 0.3, "review", 0.0, "7")
Open = Callable[..., Queue]
Capture = Callable[..., Examination]


def test_a_capture_survives_a_restart(queue: Queue, take: Capture, open_queue: Open, picture: bytes) -> None:
    kept = take(code="P-77", quality={"focus": 12.0})
    queue.close()
    again = open_queue()
    assert again.get(kept.id) == kept
    assert again.picture(kept.id) == picture
    assert again.rebuilt is None


def test_a_queue_of_an_earlier_version_keeps_what_waits(
    queue: Queue, take: Capture, open_queue: Open, tmp_path: Path
) -> None:
    kept = take()
    queue.close()
    with closing(sqlite3.connect(tmp_path / "state" / "queue.sqlite3")) as store:
        store.execute("ALTER TABLE examinations DROP COLUMN set_aside")
        store.commit()
    assert open_queue().next_waiting() == kept


def test_numbers_are_in_order_and_never_used_twice(queue: Queue, take: Capture, open_queue: Open) -> None:
    first, second = take(), take()
    queue.settle(second.id, "answered", ANSWER)
    queue.forget(second.id)
    queue.close()
    again = open_queue()
    third = again.add(replace(first, id=new_id()), b"x")
    assert (first.number, second.number, third.number) == (1, 2, 3)


def test_the_same_id_is_kept_once(queue: Queue, take: Capture) -> None:
    first = take()
    assert queue.add(replace(first, code="OTHER"), b"other") == first
    assert queue.counts()["total"] == 1


def test_waiting_ones_come_oldest_first(queue: Queue, take: Capture) -> None:
    first, second = take(), take()
    assert queue.next_waiting() == first
    queue.note(first.id, trouble="no server")
    waiting = queue.next_waiting()
    assert waiting is not None
    assert (waiting.id, waiting.tries, waiting.trouble) == (first.id, 1, "no server")
    queue.settle(first.id, "answered", ANSWER)
    assert queue.next_waiting() == second


def test_a_settled_answer_stays(queue: Queue, take: Capture) -> None:
    one = take()
    queue.settle(one.id, "answered", ANSWER)
    queue.settle(one.id, "answered", replace(ANSWER, probability=0.9))
    queue.note(one.id, answer=replace(ANSWER, origin="device"))
    found = queue.get(one.id)
    assert found is not None
    assert found.answer == ANSWER


def test_reports_keep_the_order_behind_an_unanswered_one(queue: Queue, take: Capture) -> None:
    first, second = take(), take()
    queue.settle(second.id, "answered", ANSWER)
    assert queue.next_unreported() is None
    queue.settle(first.id, "refused", trouble="no")
    reported = []
    while (untold := queue.next_unreported()) is not None:
        reported.append(untold.id)
        queue.mark_reported(untold.id)
    assert reported == [first.id, second.id]


def test_a_whole_file_without_a_row_is_adopted(queue: Queue, take: Capture, open_queue: Open) -> None:
    first, second = take(), take(code="P-2")
    queue.close()
    # The power went between the rename and the commit.
    with sqlite3.connect(Path(queue._folder) / "queue.sqlite3") as database:
        database.execute("DELETE FROM examinations WHERE id = ?", (second.id,))
    database.close()
    (queue.pictures.folder / f".{new_id()}.exam.1.partial").write_bytes(b"half")
    again = open_queue()
    assert [found.id for found in again.page(10)] == [second.id, first.id]
    assert again.get(second.id) == second
    assert not list(queue.pictures.folder.glob(".*"))


def test_no_row_is_written_when_the_file_cannot_be(
    queue: Queue, take: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures_module, "write_atomic", full)
    with pytest.raises(StorageFullError, match="No space left"):
        take()
    monkeypatch.undo()
    assert queue.counts()["total"] == 0
    assert take().number == 1


def test_a_failed_commit_leaves_no_file(queue: Queue, take: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(queue, "insert", full)
    with pytest.raises(StorageFullError, match="disk is full"):
        take()
    assert not list(queue.pictures.folder.iterdir())


@pytest.mark.parametrize("damage", ["garbage", "cut off", "page"])
def test_a_corrupt_store_is_rebuilt_from_the_pictures(
    queue: Queue, take: Capture, open_queue: Open, damage: str
) -> None:
    taken = [take(code=f"P-{number}") for number in range(5)]
    queue.settle(taken[0].id, "answered", ANSWER)
    queue.close()
    path = queue._folder / "queue.sqlite3"
    raw = path.read_bytes()
    spoiled = {
        "garbage": os.urandom(len(raw)),
        "cut off": raw[: len(raw) // 3],
        "page": raw[:4096] + os.urandom(len(raw) - 4096),
    }
    path.write_bytes(spoiled[damage])
    again = open_queue()
    assert again.rebuilt is not None
    assert (again.rebuilt / "queue.sqlite3").read_bytes() == spoiled[damage]
    found = list(reversed(again.page(10)))
    assert [(one.id, one.code, one.number) for one in found] == [
        (one.id, one.code, one.number) for one in taken
    ]
    # What had been answered is asked again under its old id.
    assert again.next_waiting() == taken[0]


def test_a_flipped_bit_in_an_older_row_is_found_at_the_start(
    queue: Queue, take: Capture, open_queue: Open
) -> None:
    taken = [take(code=f"P-{number}") for number in range(3)]
    queue.close()
    path = queue._folder / "queue.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        (sealed,) = db.execute("SELECT sealed FROM examinations ORDER BY number LIMIT 1").fetchone()
    raw = bytearray(path.read_bytes())
    raw[raw.index(sealed) + len(sealed) // 2] ^= 1
    path.write_bytes(raw)
    again = open_queue()
    assert again.rebuilt is not None
    assert [one.code for one in reversed(again.page(10))] == [one.code for one in taken]


def test_a_full_disk_at_the_start_is_no_corruption(
    queue: Queue, take: Capture, open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    take()
    queue.close()

    class Full(sqlite3.Connection):
        def executescript(self, script: str, /) -> sqlite3.Cursor:
            raise sqlite3.OperationalError("database or disk is full")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **named: connect(path, factory=Full, **named))
    with pytest.raises(sqlite3.OperationalError):
        open_queue()
    monkeypatch.undo()
    again = open_queue()
    assert again.rebuilt is None
    assert again.counts()["waiting"] == 1


def test_another_key_is_refused_and_nothing_is_touched(queue: Queue, take: Capture, open_queue: Open) -> None:
    one = take()
    queue.close()
    with pytest.raises(KeyFileError, match="not the one"):
        open_queue(key=bytes(32))
    assert open_queue().get(one.id) == one


def test_a_damaged_picture_is_known_as_such(queue: Queue, take: Capture) -> None:
    one = take()
    path = queue.pictures.folder / f"{one.id}.exam"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DamagedError):
        queue.picture(one.id)


def test_a_picture_cannot_pass_for_another(queue: Queue, take: Capture) -> None:
    first, second = take(), take()
    (queue.pictures.folder / f"{first.id}.exam").replace(queue.pictures.folder / f"{second.id}.exam")
    with pytest.raises(DamagedError):
        queue.picture(second.id)


def test_nothing_personal_is_readable_on_the_card(queue: Queue, take: Capture, picture: bytes) -> None:
    one = take(code="P-SECRET")
    queue.settle(one.id, "answered", replace(ANSWER, model_version="VERSION-X"))
    queue.close()
    card = b"".join(path.read_bytes() for path in queue._folder.rglob("*") if path.is_file())
    for secret in (b"P-SECRET", b"VERSION-X", picture[100:132], b"probability"):
        assert secret not in card
    modes = {path.stat().st_mode & 0o777 for path in queue.pictures.folder.iterdir()}
    assert modes == {0o600}


def test_the_budget_takes_sent_pictures_first_and_unsent_ones_never(
    open_queue: Open, examination: Examination, picture: bytes
) -> None:
    queue = open_queue(budget=len(picture) * 3 + 3000)
    ids = [queue.add(replace(examination, id=new_id()), picture).id for _ in range(3)]
    queue.settle(ids[1], "answered", ANSWER)
    fourth = queue.add(replace(examination, id=new_id()), picture)
    kept = {found.id: found.kept for found in queue.page(10)}
    assert kept == {ids[0]: True, ids[1]: False, ids[2]: True, fourth.id: True}
    with pytest.raises(StorageFullError, match="3 unsent photographs fill"):
        queue.add(replace(examination, id=new_id()), picture)
    assert queue.picture(ids[0]) == picture


def test_a_full_partition_is_refused_before_it_is_full(
    open_queue: Open, examination: Examination, picture: bytes
) -> None:
    queue = open_queue(min_free=10**18)
    with pytest.raises(StorageFullError, match="must stay free"):
        queue.add(examination, picture)


def test_waiting_examinations_cannot_be_dropped(queue: Queue, take: Capture) -> None:
    one = take()
    with pytest.raises(ValueError, match="not sent"):
        queue.forget(one.id)


def test_retention_removes_only_what_was_sent_and_told(queue: Queue, take: Capture) -> None:
    told, untold, waiting = take(), take(), take()
    for one in (told, untold):
        queue.settle(one.id, "answered", ANSWER)
    queue.mark_reported(told.id)
    later = time.time() + 10
    assert queue.forget_settled(later - 86_400, reported=True) == 0
    assert queue.forget_settled(later, reported=True) == 1
    assert {found.id for found in queue.page(10)} == {untold.id, waiting.id}
    assert queue.forget_settled(later, reported=False) == 1
    assert {found.id for found in queue.page(10)} == {waiting.id}


def test_a_refused_one_can_be_asked_again(queue: Queue, take: Capture) -> None:
    one = take()
    queue.settle(one.id, "refused", trouble="bad picture")
    queue.ask_again(one.id)
    found = queue.next_waiting()
    assert found is not None
    assert (found.id, found.trouble, found.answered_at) == (one.id, "", None)


def test_ids_are_random_uuids() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", new_id())
    assert new_id() != new_id()
