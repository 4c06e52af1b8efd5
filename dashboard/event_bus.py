"""The pulse: notices that something changed, and tells every open page over server-sent events."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

from core.worker import Worker
from dashboard import clock
from dashboard.database.connection import DatabaseDownError

BEAT_SECONDS = 15.0
Stamp = Callable[[], object]


class EventBus(Worker):
    """Compares stamps of topics; a page hears the names of those that changed."""

    def __init__(self, stamps: dict[str, Stamp], period: float) -> None:
        """`stamps`: for each topic a cheap function whose value changes with it."""
        super().__init__("pulse", period)
        self._stamps = stamps
        self._last: dict[str, object] = {}
        self._listeners: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._by_person: Counter[int] = Counter()
        # Counts go on growing over a restart: a page of before it looks again at everything.
        self.count = clock.now()
        self._changed = dict.fromkeys(stamps, self.count)

    def turn(self) -> None:
        """Look once."""
        for topic, stamp in self._stamps.items():
            try:
                value = stamp()
            except DatabaseDownError:
                continue
            if topic in self._last and self._last[topic] != value:
                self.tell(topic)
            self._last[topic] = value

    def tell(self, topic: str | None) -> None:
        """Tell every listener; None ends them."""
        if topic is not None:
            self.count += 1
            self._changed[topic] = self.count
        for queue, loop in list(self._listeners.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, queue, topic)

    def stop(self) -> None:
        """Stop, and let every open stream end."""
        self.tell(None)
        super().stop()

    def open(self, person: int) -> int:
        """How many streams this person has open."""
        return self._by_person[person]

    async def listen(self, person: int, since: int) -> AsyncIterator[str]:
        """The events of one stream, as text/event-stream.

        `since`: the pulse's count when the page was made; what changed before the stream was open comes first.
        """
        queue: asyncio.Queue[str | None] = asyncio.Queue(100)
        self._listeners[queue] = asyncio.get_running_loop()
        self._by_person[person] += 1
        try:
            yield "retry: 2000\n\n"
            for topic, number in list(self._changed.items()):
                if number > since:
                    yield _event(topic, number)
            while not self.stopping:
                try:
                    heard = await asyncio.wait_for(queue.get(), BEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if heard is None:
                    return
                yield _event(heard, self._changed.get(heard, self.count))
        finally:
            self._listeners.pop(queue, None)
            self._by_person[person] -= 1


def _event(topic: str, number: int) -> str:
    """The count is the event's id: a browser that comes back names the last one it heard of."""
    return f"id: {number}\nevent: {topic}\ndata: {number}\n\n"


def _put(queue: asyncio.Queue[str | None], topic: str | None) -> None:
    if not queue.full():  # a listener that does not read misses news, and holds nobody up
        queue.put_nowait(topic)
