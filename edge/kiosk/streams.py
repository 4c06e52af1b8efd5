"""What flows: the live preview and the news of what changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.concurrency import run_in_threadpool

from edge.camera.camera import CameraLostError
from edge.device import Device
from edge.kiosk import views

BOUNDARY = "frame"
LOST_PAUSE_S = 1.0
LOOK_S = 0.2
KEEPALIVE_S = 15.0
TWICE = 2
STILL_S = 2.0


Gone = Callable[[], Awaitable[bool]]


async def preview(device: Device, gone: Gone) -> AsyncIterator[bytes]:
    """Motion JPEG until the viewer is `gone`; a camera that is lost pauses the stream and resumes it."""
    period = 1.0 / device.config.camera.preview_fps
    last, sent, due = b"", 0, 0.0
    yield f"--{BOUNDARY}\r\n".encode()
    while not device.stop.is_set() and not await gone():
        try:
            frame = await run_in_threadpool(device.preview)
        except CameraLostError:
            last = b""
            await asyncio.sleep(LOST_PAUSE_S)
            continue
        sent = 0 if frame is not last else sent
        # A still picture is not sent again and again, for the screen's own work is most of the heat; but
        # browsers
        # draw a part only when the next one has begun, so each goes out twice.
        if sent < TWICE or time.monotonic() >= due:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
            yield head.encode() + frame + f"\r\n--{BOUNDARY}\r\n".encode()
            last, sent, due = frame, sent + 1, time.monotonic() + STILL_S
        await asyncio.sleep(period)


async def events(device: Device, gone: Gone) -> AsyncIterator[str]:
    """Server-sent events until the viewer is `gone`: `news` at once and after every change."""
    last = ""
    silent = 0.0
    while not device.stop.is_set() and not await gone():
        now = views.news(device)
        if now != last:
            last, silent = now, 0.0
            yield f"data: {now}\n\n"
        elif silent >= KEEPALIVE_S:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_S)
        silent += LOOK_S
