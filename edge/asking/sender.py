"""What speaks with the model servers: the sender, and the fetcher of heat maps after its answers."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from core.worker import Worker
from edge.asking.client import AskError, ModelServerClient
from edge.asking.status import SERVER_NOTICES
from edge.notices import Notices
from edge.queue.encryption import DamagedError
from edge.queue.examination import Examination
from edge.queue.queue import Queue

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
HEAT_MAPS_OWED = 20
HEAT_MAP_TRIES = 3
HEAT_MAP_PAUSE_S = 5.0
BUSY_S = 0.5
# One that was set aside is tried again by itself, ever more seldom: the model may have been mended meanwhile.
SECOND_CHANCE_S = 600.0


def backoff_s(failed: int, longest_s: float) -> float:
    """Return the seconds to pause after `failed` failures in a row: doubled each time, up to half of it by chance."""
    longest: float = min(longest_s, FIRST_PAUSE_S * 2 ** min(failed - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (so that a fleet does not knock in step)


class Sender(Worker):
    """Empties the queue into the model servers: oldest first, never the next before the last is settled or set aside.

    A photograph that fails while a health check succeeds is its own trouble: after a few tries it is set
    aside with its reason, so that it does not hold up the others.

    Attributes:
        version: the model version that answered last; empty before the first answer.
        answered: called with an examination's id and the version after each answer.
    """

    def __init__(
        self,
        queue: Queue,
        client: ModelServerClient,
        notices: Notices,
        *,
        longest_pause_s: float,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("sender", longest_pause_s, stop=stop)
        self._queue = queue
        self._client = client
        self._notices = notices
        self._clock = clock
        self._failed = 0
        self._strikes: Counter[str] = Counter()
        self._second_chance: dict[str, tuple[float, float]] = {}  # when, and the pause after that
        self._reviewing = threading.Lock()
        self.version = ""
        self.answered: Callable[[str, str], None] = lambda _examination, _version: None

    def turn(self) -> float | None:
        """Send the oldest."""
        try:
            waiting = self._queue.next_waiting()
            if waiting is None:
                self._failed = 0
                return self._give_second_chances()
            done = self.send(waiting)
        except (OSError, sqlite3.OperationalError) as error:
            # Nothing is lost: what could not be noted down is asked again, under the same id.
            self._notices.add("storage_full", str(error))
            done = False
        self._failed = 0 if done else self._failed + 1
        return backoff_s(self._failed, self._period_s) if self._failed else 0.0

    def send(self, examination: Examination) -> bool:
        """Try one examination once.

        Returns:
            True when it is settled or set aside, so that the next one's turn has come.
        """
        try:
            jpeg = self._queue.picture(examination.id)
        except DamagedError as error:
            self._notices.add("picture_damaged", str(error))
            self._queue.settle(examination.id, "damaged", trouble=str(error))
            return True
        try:
            answer = self._client.ask(jpeg, examination.id)
        except AskError as error:
            return self._failure(examination, error)
        self._notices.clear(*SERVER_NOTICES, "storage_full")
        self.version = answer.model_version
        self._forgive(examination.id)
        self._queue.settle(examination.id, "answered", answer)
        self.answered(examination.id, answer.model_version)
        return True

    def ask_again(self, examination_id: str) -> None:
        """Put a refused examination, or one that was set aside, back in line, and send it now."""
        self._forgive(examination_id)
        self._queue.ask_again(examination_id)
        self._review_notice()
        self.wake()

    def leave(self, examination_id: str) -> None:
        """Settle one that was set aside as refused: the nurse will not ask again."""
        self._queue.leave(examination_id)
        self._forgive(examination_id)
        self._review_notice()

    def probe(self) -> None:
        """Ask every server for its model's status, so that the status line is true before the next patient comes.

        The sender alone speaks while examinations wait: it is woken if a server is good.
        """
        health = self._client.health()
        good = next((found for found in health if found.version), None)
        waiting = self._queue.next_waiting() is not None
        if good and waiting:
            self.wake()
        elif good:
            # Garbage was seen in an answer, and a look at the model's status cannot take that back.
            self._notices.clear(*(kind for kind in SERVER_NOTICES if kind != "server_garbage"))
            self.version = good.version
        elif not waiting:
            trouble = "; ".join(found.trouble for found in health)
            certificate = "certificate" in trouble.lower()
            self._notices.add("certificate_expired" if certificate else "server_unreachable", trouble)

    def _failure(self, examination: Examination, error: AskError) -> bool:
        rule = error.rule
        if rule.handling == "picture":
            self._notices.clear(*SERVER_NOTICES)
            self._forgive(examination.id)
            self._queue.settle(examination.id, "refused", trouble=str(error))
            return True
        self._notices.clear(*(other for other in SERVER_NOTICES if other != rule.notice))
        self._notices.add(rule.notice, str(error))
        self._queue.note(examination.id, trouble=str(error))
        if not rule.strikes:
            return False
        if not any(found.version for found in self._client.health()):
            del self._strikes[examination.id]  # no server: that says nothing about the photograph
            return False
        self._strikes[examination.id] += 1
        if self._strikes[examination.id] < rule.strikes:
            return False
        log.warning("examination %s is set aside: %s", examination.id, error)
        _, pause = self._second_chance.get(examination.id, (0.0, SECOND_CHANCE_S))
        self._second_chance[examination.id] = (self._clock() + pause, pause * 4)
        del self._strikes[examination.id]
        # Before the queue tells of it: who looks then should not find a server at fault.
        self._notices.clear(*SERVER_NOTICES)
        self._queue.set_aside(examination.id, str(error))
        self._review_notice()
        return True

    def _give_second_chances(self) -> float:
        """Put what was set aside long enough ago back in line; return the seconds until the next is due."""
        self._review_notice()
        pause = self._period_s
        for examination in self._queue.all_set_aside():
            first = (self._clock() + SECOND_CHANCE_S, SECOND_CHANCE_S)
            due, _ = self._second_chance.setdefault(examination.id, first)
            if self._clock() >= due:
                self._queue.ask_again(examination.id)
                pause = 0.0
        return pause

    def _review_notice(self) -> None:
        """Say how many photographs are set aside, or that none is any more."""
        # One after the other: what this thread saw must not be put up when another one took it down.
        with self._reviewing:
            aside = self._queue.all_set_aside()
            if aside:
                numbers = ", ".join(str(examination.number) for examination in aside[:10])
                self._notices.add("picture_fails", f"{numbers}: {aside[-1].trouble}")
            else:
                self._notices.clear("picture_fails")

    def _forgive(self, examination_id: str) -> None:
        self._strikes.pop(examination_id, None)
        self._second_chance.pop(examination_id, None)


class HeatMapFetcher(Worker):
    """Asks for where the model looked, newest first, while no photograph waits for its answer.

    One that fails is asked for again up to three times; the next photograph's is asked for in any case.
    """

    def __init__(self, queue: Queue, client: ModelServerClient, *, stop: threading.Event) -> None:
        super().__init__("heat maps", HEAT_MAP_PAUSE_S, stop=stop)
        self._queue = queue
        self._client = client
        self._owed: deque[tuple[str, str, int]] = deque(maxlen=HEAT_MAPS_OWED)  # id, version, tries

    def owe(self, examination_id: str, version: str) -> None:
        """Note that a photograph was answered by this version."""
        self._owed.append((examination_id, version, 0))
        self.wake()

    def turn(self) -> float | None:
        """Fetch one."""
        if not self._owed:
            return None
        if self._queue.next_waiting() is not None:
            return BUSY_S
        examination_id, version, tries = self._owed.pop()
        try:
            heat_map = self._client.explain(self._queue.picture(examination_id), examination_id, version)
        except DamagedError:
            return 0.0
        except AskError as error:
            log.info("no heat map for %s yet: %s", examination_id, error)
            if tries + 1 < HEAT_MAP_TRIES:
                self._owed.appendleft((examination_id, version, tries + 1))
            return None
        if heat_map is not None:
            self._queue.keep_heat_map(examination_id, heat_map)
        return 0.0
