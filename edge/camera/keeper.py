"""Keeps a camera open: reopens one that was unplugged or hangs, and shares one preview among viewers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from edge.camera.camera import Camera, CameraHungError, CameraLostError

REOPEN_S = 1.0
# After this many deadlines without a picture opening the camera again has not helped.
PATIENCE = 3

Act = Callable[[Camera], bytes]


class CameraKeeper:
    """One camera for many threads, used by a thread of its own so that a driver that hangs holds nobody else.

    After CameraLostError the next call, a second later, opens the camera again. A call that is not done by
    its deadline raises CameraHungError; its thread is left behind, and the next call opens the camera anew.
    """

    def __init__(
        self,
        opener: Callable[[], Camera],
        fps: float,
        *,
        deadline_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._period = 1.0 / fps
        self._deadline = deadline_s
        self._clock = clock
        self._lock = threading.Lock()
        self._hand: _CameraThread | None = None
        self._retry_at = 0.0
        self._frame: tuple[float, bytes] | None = None
        self._pending: tuple[_CameraThread, Future[bytes]] | None = None  # the preview that viewers wait for
        self._hung_since: float | None = None
        self.trouble: str | None = None

    @property
    def name(self) -> str:
        """The open camera's name; a dash while there is none."""
        hand = self._hand
        camera = hand.camera if hand else None
        return camera.name if camera else "–"

    @property
    def hung(self) -> bool:
        """True from a missed deadline until the next picture."""
        return self._hung_since is not None

    @property
    def hopeless(self) -> bool:
        """True when the camera hung and opening it again did not help: only a new process may."""
        since = self._hung_since
        return since is not None and self._clock() - since > PATIENCE * self._deadline

    def preview(self) -> bytes:
        """Return the current preview JPEG, at most one frame period old."""
        with self._lock:
            if self._frame is not None and self._clock() - self._frame[0] < self._period:
                return self._frame[1]
            if self._pending is None or self._pending[1].done() or self._pending[0] is not self._hand:
                self._pending = self._submit(lambda camera: camera.preview())
            hand, pending = self._pending
        frame = self._result(hand, pending)
        with self._lock:
            if self._frame is None or self._frame[1] is not frame:
                self._frame = (self._clock(), frame)
        return frame

    def capture(self) -> bytes:
        """Return one JPEG at full size."""
        with self._lock:
            hand, pending = self._submit(lambda camera: camera.capture())
        return self._result(hand, pending)

    def close(self) -> None:
        """Close the camera; a later call opens it again."""
        with self._lock:
            hand, self._hand = self._hand, None
            self._frame = None
        if hand is not None:
            hand.leave()
            hand.join(self._deadline)

    def _submit(self, act: Act) -> tuple[_CameraThread, Future[bytes]]:
        if self.trouble and self._clock() < self._retry_at:
            raise CameraHungError(self.trouble) if self.hung else CameraLostError(self.trouble)
        if self._hand is None:
            self._hand = _CameraThread(self._opener)
            self._hand.start()
        return self._hand, self._hand.submit(act)

    def _result(self, hand: _CameraThread, pending: Future[bytes]) -> bytes:
        try:
            result = pending.result(timeout=self._deadline)
        except TimeoutError:
            error = CameraHungError(
                f"the camera gave no picture within {self._deadline:g} seconds: it is opened again"
            )
            hand.leave()
            with self._lock:
                if self._hand is hand:
                    self._hand = None
                    self._hung_since = self._hung_since or self._clock() - self._deadline
                    self._fail(str(error))
            raise error from None
        except CameraLostError as error:
            with self._lock:
                self._fail(str(error))
            raise
        with self._lock:
            if self._hand is hand:
                self.trouble = self._hung_since = None
        return result

    def _fail(self, trouble: str) -> None:
        if self.trouble is None or self._clock() >= self._retry_at:
            self._retry_at = self._clock() + REOPEN_S
        self.trouble = trouble
        self._frame = None


class _CameraThread(threading.Thread):
    """The only thread that touches a camera: opens it with the first job, closes it after a failed one."""

    def __init__(self, opener: Callable[[], Camera]) -> None:
        super().__init__(name="camera", daemon=True)
        self._opener = opener
        self._jobs: queue.SimpleQueue[tuple[Act, Future[bytes]] | None] = queue.SimpleQueue()
        self.camera: Camera | None = None

    def submit(self, act: Act) -> Future[bytes]:
        """Put a job in line."""
        result: Future[bytes] = Future()
        self._jobs.put((act, result))
        return result

    def leave(self) -> None:
        """End the thread and close the camera once the present job is over, if it ever is."""
        self._jobs.put(None)

    def run(self) -> None:
        """Do one job after the other."""
        while (job := self._jobs.get()) is not None:
            act, result = job
            try:
                self.camera = self.camera or self._opener()
                result.set_result(act(self.camera))
            except CameraLostError as error:
                self._close()
                result.set_exception(error)
            except Exception as error:  # whoever waits is told, and the thread goes on
                result.set_exception(error)
        self._close()

    def _close(self) -> None:
        camera, self.camera = self.camera, None
        if camera is not None:
            camera.close()
