"""The device: camera, queue, sender and reporter, wired together, and what the shutter does."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.records.heartbeat import Disk
from core.worker import Worker
from edge.asking.client import ModelServerClient
from edge.asking.fallback import OnDeviceFallback
from edge.asking.on_device import ModelStore
from edge.asking.sender import HeatMapFetcher, Sender
from edge.camera.camera import CameraHungError, CameraLostError, open_camera
from edge.camera.keeper import CameraKeeper
from edge.camera.photograph import BadPhotographError, Photograph, prepare
from edge.camera.quality import Quality, check
from edge.config import Config
from edge.notices import Notices
from edge.pins import Pins, PinsError
from edge.queue.encryption import Encryptor, load_key
from edge.queue.examination import Examination
from edge.queue.queue import MEGABYTE, Queue, StorageFullError
from edge.reporting.clock import Clock
from edge.reporting.gateway import Gateway
from edge.reporting.records import heartbeat
from edge.reporting.reporter import FleetReporter
from edge.watchdog import stalled

log = logging.getLogger(__name__)

SWEEP_S = 600.0
HOUSEKEEPING_S = 2.0
CAMERA_WATCH_S = 2.0
DAY_S = 86_400.0
STALL_MARGIN_S = 60.0


@dataclass(frozen=True)
class Draft:
    """A photograph that should be taken again, kept in memory until the nurse decides."""

    id: str
    code: str
    captured_at: float
    photograph: Photograph
    quality: Quality


class Device:
    """Everything between the shutter and the servers."""

    def __init__(self, config: Config) -> None:
        """Open the queue; nothing runs before `start`.

        Raises:
            KeyFileError: the queue was sealed with another key.
            FolderInUseError: another process works in the state folder.
        """
        self.config = config
        self.instance = secrets.token_hex(8)  # a page knows by it that the process is a new one
        self._started = time.monotonic()
        self.stop = threading.Event()
        self.notices = Notices()
        self.queue = Queue(
            config.device.state_dir,
            Encryptor(load_key(config.storage_key_file)),
            budget_bytes=config.storage.budget_mb * MEGABYTE,
            min_free_bytes=config.storage.min_free_mb * MEGABYTE,
        )
        if self.queue.rebuilt is not None:
            self.notices.add("queue_rebuilt", str(self.queue.rebuilt))
        self.clock = Clock(self.queue)
        self.camera = CameraKeeper(
            lambda: open_camera(config.camera), config.camera.preview_fps, deadline_s=config.camera.deadline_s
        )
        self.client = ModelServerClient(config.server, config.device.id, now=self.clock.now, stop=self.stop)
        pause = config.server.longest_pause_s
        self.sender = Sender(self.queue, self.client, self.notices, longest_pause_s=pause, stop=self.stop)
        self._probe = Worker("probe", pause, self.sender.probe, stop=self.stop)
        self._heat_maps = HeatMapFetcher(self.queue, self.client, stop=self.stop)
        self.sender.answered = self._heat_maps.owe
        self.gateway = Gateway(config, now=self.clock.now, witness=self.clock.compare)
        self.reporter: FleetReporter | None = None
        if config.gateway.url:
            self.reporter = FleetReporter(
                self.queue, self.gateway, self.notices, config, heartbeat=self.heartbeat, stop=self.stop
            )
        self.fallback: OnDeviceFallback | None = None
        if config.fallback.enabled:
            section = config.fallback
            store = ModelStore(config.device.state_dir / "model", section, self.gateway.fetch)
            self.fallback = OnDeviceFallback(self.queue, store, section, stop=self.stop, now=self.clock.now)
        self.draft: Draft | None = None
        self.presses = 0  # of the GPIO shutter; the page watches the number
        self._capturing = threading.Lock()
        self._pins: Pins | None = None
        self._seen = -1
        self._sweep_at = 0.0
        self._housekeeper = Worker("housekeeper", HOUSEKEEPING_S, self._keep_house, stop=self.stop)
        self._camera_watch = Worker("camera watch", CAMERA_WATCH_S, self._watch_camera, stop=self.stop)

    @property
    def _workers(self) -> list[Worker]:
        optional = [worker for worker in (self.reporter, self.fallback) if worker is not None]
        return [self.sender, self._probe, self._heat_maps, *optional, self._housekeeper, self._camera_watch]

    def start(self) -> None:
        """Start the threads."""
        try:
            self._pins = Pins(self.config.pins, self.press)
        except PinsError as error:
            log.error("%s", error)
        self.queue.listeners.append(self._housekeeper.wake)
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Stop the threads and give the hardware back; what waits stays in the queue."""
        self.stop.set()
        with self.queue.changed:
            self.queue.changed.notify_all()
        for worker in self._workers:
            worker.join()
        if self._pins is not None:
            self._pins.close()
        self.camera.close()
        self.client.close()
        self.gateway.close()
        self.queue.close()

    def press(self) -> None:
        """Count a press of the GPIO shutter: the page takes it from here, with the code that stands on it."""
        self.presses += 1

    def preview(self) -> bytes:
        """Return one small JPEG for the screen; CameraLostError, also put up as a notice."""
        with self._camera_notices():
            return self.camera.preview()

    def capture(self, examination_id: str, code: str) -> Examination | Draft:
        """Take a photograph and keeps it durably; a Draft when its quality asks for another one.

        The same id again gives the same examination: a press that was sent twice takes one photograph.
        Raises CameraLostError, BadPhotographError (both put up as notices) or StorageFullError.
        """
        with self._capturing:
            known = self.queue.get(examination_id)
            if known is not None:
                return known
            with self._camera_notices():
                photograph = prepare(self.camera.capture(), self.config.photograph)
            quality = check(photograph.pixels, self.config.quality)
            draft = Draft(examination_id, code, self.clock.now(), photograph, quality)
            if not quality.good:
                self.draft = draft
                return draft
            return self._keep(draft)

    def keep_draft(self, examination_id: str) -> Examination | None:
        """Send the photograph that should have been taken again; None when it is not there any more."""
        with self._capturing:
            known = self.queue.get(examination_id)
            if known is not None:
                return known
            draft = self.draft
            if draft is None or draft.id != examination_id or self.config.quality.refuse:
                return None
            return self._keep(draft)

    def try_again(self) -> None:
        """Try camera, servers and gateway again now, as the nurse asked."""
        if self.queue.free_bytes() > self.config.storage.min_free_mb * MEGABYTE:
            self.notices.clear("storage_full")
        self.notices.clear("queue_rebuilt", "picture_damaged")
        self.sender.wake()
        if self.reporter is not None:
            self.reporter.wake()

    def indicator_state(self) -> str:
        """For the light: `ready`, `waiting` (for a server), or `trouble` (no photograph can be taken)."""
        if self.notices.has("storage_full", "camera_lost", "camera_hung"):
            return "trouble"
        return "waiting" if self.notices.all() or self.queue.counts()["waiting"] else "ready"

    def heartbeat(self) -> dict[str, Any]:
        """Return the present state as the gateway is told it."""
        return heartbeat(
            self.config.device.id,
            camera=self.camera.name,
            disk=Disk(free_bytes=self.queue.free_bytes(), kept_bytes=self.queue.bytes_kept()),
            queue=self.queue.counts(),
            uptime_s=time.monotonic() - self._started,
            now=self.clock.now(),
            versions={
                "model": self.sender.version,
                "on_device_model": self.fallback.version if self.fallback else "",
            },
            notices=self.notices.all(),
            last_error=self.notices.last,
            clock_trusted=not self.clock.trouble(),
        )

    def stalled(self) -> str:
        """Return what has stopped and only a new process can start again; empty when all go round."""
        if self.camera.hopeless:
            return "camera"
        server, gateway = self.config.server, self.config.gateway
        asking = server.deadline_s * len(server.addresses)
        limits: dict[Worker, float] = dict.fromkeys(self._workers, math.inf)
        # A try asks every server `attempts` times with pauses between, then each for its health.
        limits[self.sender] = server.longest_pause_s + asking * (server.attempts * 2 + 1) + STALL_MARGIN_S
        limits[self._probe] = server.longest_pause_s + asking + STALL_MARGIN_S
        limits[self._housekeeper] = HOUSEKEEPING_S + STALL_MARGIN_S
        if self.reporter is not None:
            limits[self.reporter] = gateway.heartbeat_s + 4 * gateway.timeout_s + STALL_MARGIN_S
        return stalled(limits)

    def unwell(self) -> str:
        """Return what the health check names: what has stopped, or a camera that hangs at the moment."""
        return self.stalled() or ("camera" if self.camera.hung else "")

    def _keep(self, draft: Draft) -> Examination:
        photograph = draft.photograph
        examination = Examination(
            id=draft.id,
            number=0,
            code=draft.code,
            captured_at=draft.captured_at,
            clock_trusted=self._clock_trusted(),
            width=photograph.width,
            height=photograph.height,
            sha256=photograph.sha256,
            quality=draft.quality.as_dict(),
        )
        try:
            kept = self.queue.add(examination, photograph.jpeg)
        except StorageFullError as error:
            self.notices.add("storage_full", str(error))
            raise
        self.notices.clear("storage_full")
        self.draft = None
        self.sender.wake()
        return kept

    def _clock_trusted(self) -> bool:
        trouble = self.clock.trouble()
        if trouble:
            self.notices.add("clock_wrong", trouble)
        else:
            self.notices.clear("clock_wrong")
        return not trouble

    @contextlib.contextmanager
    def _camera_notices(self) -> Iterator[None]:
        """Put the camera's failure up as a notice, or take the notice of an earlier one down."""
        try:
            yield
        except (CameraLostError, BadPhotographError) as error:
            hung = isinstance(error, CameraHungError)
            self.notices.clear("camera_lost" if hung else "camera_hung")
            self.notices.add("camera_hung" if hung else "camera_lost", str(error))
            raise
        self.notices.clear("camera_lost", "camera_hung")

    def _watch_camera(self) -> None:
        """Look whether a camera that failed is back, also while no page shows its picture."""
        if self.notices.has("camera_lost", "camera_hung"):
            with contextlib.suppress(CameraLostError):
                self.preview()

    def _keep_house(self) -> None:
        """Carry the queue's changes to those who wait for them, sweep, and keep the light right."""
        changed, self._seen = self.queue.revision != self._seen, self.queue.revision
        try:
            if changed:
                for worker in (self.reporter, self.fallback):
                    if worker is not None:
                        worker.wake()
            self._clock_trusted()
            self.clock.note()
            if self._pins is not None:
                self._pins.show(self.indicator_state())
            if time.monotonic() >= self._sweep_at and not self.notices.has("clock_wrong"):
                self._sweep_at = time.monotonic() + SWEEP_S
                self._sweep()
        except (OSError, sqlite3.OperationalError) as error:
            self.notices.add("storage_full", str(error))

    def _sweep(self) -> None:
        days, fleet = self.config.storage.retention_days, self.reporter is not None
        if fleet and not self.clock.witnessed:
            return  # a clock that jumped ahead makes today's examinations look old
        gone = self.queue.forget_settled(self.clock.now() - days * DAY_S, reported=fleet)
        if gone:
            log.info("removed %d examinations sent more than %g days ago", gone, days)
