"""What flows: the live preview and the news of what changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool

from edge.cameras.camera import CameraLostError
from edge.device import Device

BOUNDARY = "frame"
LOST_PAUSE_S = 1.0
LOOK_S = 0.2
KEEPALIVE_S = 15.0


Gone = Callable[[], Awaitable[bool]]


async def preview(device: Device, gone: Gone) -> AsyncIterator[bytes]:
    """Motion JPEG until the viewer is `gone`; a camera that is lost pauses the stream and resumes it."""
    period = 1.0 / device.config.camera.preview_fps
    last = b""
    yield f"--{BOUNDARY}\r\n".encode()
    while not device.stop.is_set() and not await gone():
        try:
            frame = await run_in_threadpool(device.preview)
        except CameraLostError:
            last = b""
            await asyncio.sleep(LOST_PAUSE_S)
            continue
        # A picture that did not change is not sent twice: the screen's own work is most of the heat.
        if frame is not last:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
            # Browsers show a part when they see the next boundary, so it follows at once.
            yield head.encode() + frame + f"\r\n--{BOUNDARY}\r\n".encode()
            last = frame
        await asyncio.sleep(period)


def news(device: Device) -> dict[str, Any]:
    """What the page compares to know whether it must draw itself anew."""
    return {
        "revision": device.queue.revision,
        "notices": [notice.kind for notice in device.notices.all()],
        "version": device.sender.version,
        "presses": device.presses,
    }


async def events(device: Device, gone: Gone) -> AsyncIterator[str]:
    """Server-sent events until the viewer is `gone`: `news` at once and after every change."""
    last = ""
    silent = 0.0
    while not device.stop.is_set() and not await gone():
        now = json.dumps(news(device))
        if now != last:
            last, silent = now, 0.0
            yield f"data: {now}\n\n"
        elif silent >= KEEPALIVE_S:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_S)
        silent += LOOK_S
